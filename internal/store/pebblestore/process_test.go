package pebblestore

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/storetest"
)

// childDir tells a process of TestKill which store to write to.
const childDir = "SEALMQ_STORE_TEST_CHILD"

// TestKill kills a process that writes, several times, and looks for each message that it said was stored. In between
// it shows that a folder in use by another process is refused, and that a killed process leaves no lock behind.
func TestKill(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		childWrites(t, dir)
		return
	}
	dir := t.TempDir()
	acked := 0
	for round := range 3 {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$", "-test.v")
		c.Env = append(os.Environ(), childDir+"="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		start := acked
		for lines := bufio.NewScanner(out); lines.Scan(); {
			word, number, _ := strings.Cut(lines.Text(), " ")
			if word != "acked" {
				continue
			}
			n, err := strconv.Atoi(number)
			if err != nil {
				break // the last line, cut off
			}
			acked = max(acked, n)
			if acked == start+200 {
				_, err := Open(dir, testOptions(t))
				var inUse *store.InUseError
				if !errors.As(err, &inUse) || inUse.PID != c.Process.Pid {
					t.Errorf("Open beside process %d: %v", c.Process.Pid, err)
				}
			}
			if acked == start+1000+500*round {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Wait(); err == nil || acked == start {
			t.Fatalf("child stored %d messages and ended with %v, not by being killed", acked-start, err)
		}
		s := open(t, dir, testOptions(t))
		if err := s.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := s.Queue(1, 1, 1<<20)
		if err != nil || len(rows) < acked {
			t.Fatalf("%d messages acknowledged, %d in the queue, %v", acked, len(rows), err)
		}
		for i, row := range rows {
			m, err := s.Body(row.Body)
			if err != nil || row.Ord != store.Ord(i+1) || string(m.Payload()) != fmt.Sprint(i+1) {
				t.Fatalf("message %d: %v", i+1, err)
			}
		}
		acked = len(rows)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// childWrites stores numbered messages behind those that are there and says so, until it is killed.
func childWrites(t *testing.T, dir string) {
	s := open(t, dir, testOptions(t))
	if err := storetest.CommitWait(s, putSession(1)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Queue(1, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	_, body := s.Counters()
	slots := make(chan struct{}, 16)
	for n := len(rows) + 1; ; n++ {
		slots <- struct{}{}
		body++
		b := &store.Batch{Sync: true}
		b.Add(store.Op{Kind: store.PutBody, Body: body, Message: storetest.Message("t", fmt.Append(nil, n), n)})
		b.Add(putQueue(1, store.Ord(n), body, true))
		s.Commit(b, func(err error) {
			if err != nil {
				t.Error(err)
			}
			fmt.Println("acked", n)
			<-slots
		})
	}
}
