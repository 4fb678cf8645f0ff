//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/bench"
)

// TestBenchBytes: the bytes and round trips of "sealmq bench protect" are those that tcpdump sees, for every way to log in and to
// protect a message.
func TestBenchBytes(t *testing.T) {
	result, streams := captureBench(t)
	next := func(n int) []*stream {
		if len(streams) < n {
			t.Fatalf("%d connections of those that the bench counts are left in the capture, want %d", len(streams), n)
		}
		first := streams[:n]
		streams = streams[n:]
		return first
	}
	for i := range result.Connecting {
		row := &result.Connecting[i]
		best := bench.Traffic{}
		for _, s := range next(bytesOf) {
			seen := s.traffic(0, row.Traffic.Trips)
			if best.Trips == 0 || seen.Up+seen.Down < best.Up+best.Down {
				best = seen
			}
		}
		t.Logf("%-36s reported %v, captured %v", row.Title, row.Traffic, best)
		if best != row.Traffic {
			t.Errorf("%s: reported are %+v, captured %+v", row.Title, row.Traffic, best)
		}
	}
	for i := range result.Messaging {
		row := &result.Messaging[i]
		connect := result.Connect("none")
		if c := result.Connect(row.Name); c != nil {
			connect = c
		}
		// One message goes before those that are counted, of which the last is reported.
		seen := next(1)[0].traffic(connect.Traffic.Trips+bytesOf, connect.Traffic.Trips+bytesOf+1)
		t.Logf("%-36s reported %v, captured %v", row.Title, row.Traffic, seen)
		if seen != row.Traffic {
			t.Errorf("%s: reported are %+v, captured %+v", row.Title, row.Traffic, seen)
		}
	}
	if len(streams) > 0 {
		t.Errorf("%d connections more than the bench counts", len(streams))
	}
}

// bytesOf is how many connections and messages the bench takes the bytes from.
const bytesOf = 5

// stream is one TCP connection as captured: the bytes between two changes of direction, the first ones from the client.
type stream struct {
	runs []int
	up   bool            // direction of the last run
	next map[bool]uint64 // by direction: the byte that has not been seen yet
}

// add counts the bytes of a segment that are new.
func (s *stream) add(up bool, from, to uint64) {
	from = max(from, s.next[up])
	if to <= from {
		return
	}
	s.next[up] = to
	if len(s.runs) == 0 || up != s.up {
		s.runs, s.up = append(s.runs, 0), up
	}
	s.runs[len(s.runs)-1] += int(to - from)
}

// traffic is what passed in some round trips.
func (s *stream) traffic(from, to int) bench.Traffic {
	t := bench.Traffic{Trips: to - from}
	for i := 2 * from; i < 2*to && i < len(s.runs); i += 2 {
		t.Up += s.runs[i]
		if i+1 < len(s.runs) {
			t.Down += s.runs[i+1]
		}
	}
	return t
}

// captureBench runs the bench beside tcpdump, in a network of their own where the system gives them one: there tcpdump needs no
// other rights, and nothing else is captured. It returns the connections whose bytes the bench counts, in their order: each has
// a port of its own.
func captureBench(t *testing.T) (*bench.Result, []*stream) {
	t.Helper()
	tcpdump := need(t, "tcpdump", "apt-get install tcpdump")
	program, err := filepath.Abs(sealmq(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bench.pcap")
	const script = `
		: >"$2.log"
		stay=; [ "$(id -u)" -ne 0 ] || stay='-Z root'
		"$1" -i lo $stay -U -B 65536 -s 128 -w "$2" tcp 2>"$2.log" &
		dump=$!
		until grep -q 'listening on' "$2.log"; do kill -0 $dump || { cat "$2.log" >&2; exit 9; }; sleep 0.05; done
		"$3" bench protect --rounds 1 --connects 1 --messages 1 --idle 0 --json || exit 8
		sleep 0.5
		kill -INT $dump
		wait $dump`
	command := []string{"sh", "-c", script, "sh", tcpdump, file, program}
	apart := []string{"unshare", "--net"}
	if os.Geteuid() != 0 {
		apart = append(apart, "--map-current-user", "--keep-caps")
	}
	up := []string{"ip", "link", "set", "lo", "up"}
	if exec.CommandContext(t.Context(), apart[0], slices.Concat(apart[1:], up)...).Run() == nil {
		command[2] = strings.Join(up, " ") + script
		command = append(apart, command...)
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 9 {
		t.Skipf("skipped: tcpdump may not capture here, run as root: %s", strings.TrimSpace(stderr.String()))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	result := new(bench.Result)
	if err := json.Unmarshal(out, result); err != nil {
		t.Fatal(err)
	}
	return result, tapped(t, mustRun(t, tcpdump, "-nn", "-r", file))
}

// segment is a TCP segment as tcpdump prints it.
var segment = regexp.MustCompile(`IP6? (\S+)\.(\d+) > (\S+)\.(\d+): Flags \[([A-Z.]+)\](?:, seq (\d+)(?::(\d+))?)?.*, length (\d+)`)

// tapped are the connections to ports that got no second one.
func tapped(t *testing.T, text string) []*stream {
	t.Helper()
	open, dialled := map[string]*stream{}, map[string][]*stream{}
	var order []string
	for line := range strings.Lines(text) {
		m := segment.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("tcpdump prints %q", line)
		}
		there, back := m[2]+" "+m[4], m[4]+" "+m[2]
		if m[5] == "S" {
			open[there] = &stream{next: map[bool]uint64{}}
			if dialled[m[4]] == nil {
				order = append(order, m[4])
			}
			dialled[m[4]] = append(dialled[m[4]], open[there])
		}
		if m[8] == "0" {
			continue
		}
		s, up := open[there], true
		if s == nil {
			s, up = open[back], false
		}
		if s == nil || m[7] == "" {
			t.Fatalf("a segment of no connection: %q", line)
		}
		s.add(up, number(t, m[6]), number(t, m[7]))
	}
	var found []*stream
	for _, port := range order {
		if len(dialled[port]) == 1 {
			found = append(found, dialled[port][0])
		}
	}
	return found
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
