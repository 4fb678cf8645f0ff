package audit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testOptions(dir string) Options {
	return Options{
		File: filepath.Join(dir, "audit", "audit.jsonl"), Key: filepath.Join(dir, "audit.key"), Rotate: 1 << 20, Keep: 3,
		Checkpoint: time.Minute, Log: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// written makes a log with n refusals in lives of a broker.
func written(t testing.TB, o Options, lives, n int) {
	t.Helper()
	for life := range lives {
		l := open(t, o)
		for i := range n {
			l.Add(&Entry{Kind: Refused, ID: fmt.Sprint(life, "-", i), Layer: "access", Client: `c",{"hash":"` + "\n", Topic: "a/b"})
			if i%100 == 99 {
				waitWritten(t, l)
			}
		}
		closeLog(t, l)
	}
}

// waitWritten waits until nothing waits.
func waitWritten(t testing.TB, l *Log) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); len(l.queue) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is written")
		}
	}
}

func verify(t testing.TB, o Options, marks ...Mark) (Report, error) {
	t.Helper()
	key, err := ReadKey(KeyFile(o.File))
	if err != nil {
		t.Fatal(err)
	}
	return Verify(o.File, key, marks...)
}

// count counts the entries of a kind.
func count(t testing.TB, o Options, kind Kind) (n int, last Entry) {
	t.Helper()
	err := Each(o.File, func(e *Entry, _ []byte) bool {
		if e.Kind == kind {
			n, last = n+1, *e
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, last
}

// TestChain: several lives of a broker make one chain, over files that are rotated and removed.
func TestChain(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Rotate, o.Keep = 20_000, 2
	written(t, o, 3, 500)
	r, err := verify(t, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Files != 3 || r.First == 1 || r.Last < 1500 || r.Signed != r.Last || r.Checkpoints < 3 || r.Torn {
		t.Errorf("%+v", r)
	}
	if _, err := verify(t, o, r.Mark); err != nil {
		t.Errorf("its own mark: %v", err)
	}
	if m, err := ParseMark(fmt.Sprintf("%d:%s", r.Mark.Seq, r.Mark.Hash)); err != nil || m != r.Mark {
		t.Errorf("%+v, %v", m, err)
	}
	n, last := count(t, o, Refused)
	if n == 0 || last.ID != "2-499" || last.Client != `c",{"hash":"`+"\n" || last.Time.IsZero() {
		t.Errorf("%d, %+v", n, last)
	}
	for _, name := range []string{o.File, o.Key, KeyFile(o.File), headFile(o.File)} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

// TestTampering: whatever somebody without the key does to a line is found, at the first line that is wrong.
func TestTampering(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Rotate, o.Keep = 30_000, 10
	written(t, o, 2, 300)
	for { // until the newest file has more than its first two lines, which every file has
		b, err := os.ReadFile(o.File)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(b, []byte("\n")) > 4 {
			break
		}
		written(t, o, 1, 5)
	}
	files, err := Files(o.File)
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	whole := map[string][]byte{}
	for _, name := range append(slices.Clone(files), headFile(o.File)) {
		if whole[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	restore := func() {
		for name, b := range whole {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	middle := files[1]
	rows := func() [][]byte { return bytes.SplitAfter(bytes.Clone(whole[middle]), []byte("\n")) }
	set := func(name string, rows [][]byte) {
		if err := os.WriteFile(name, bytes.Join(rows, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rehash := func(line []byte) []byte { // what somebody does who knows the format and not the key
		e, _, err := parseLine(bytes.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		e.Topic = "another"
		b, _, err := e.appendLine(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name string
		do   func()
		file string
		line int
		what string
	}{
		{"changed", func() { r := rows(); r[5] = bytes.Replace(r[5], []byte("a/b"), []byte("a/c"), 1); set(middle, r) }, middle, 6, "it was changed"},
		{"changed and hashed again", func() { r := rows(); r[5] = rehash(r[5]); set(middle, r) }, middle, 7, "does not follow"},
		{"removed", func() { r := rows(); set(middle, slices.Delete(r, 5, 6)) }, middle, 6, "are missing before it"},
		{"doubled", func() { r := rows(); set(middle, slices.Insert(r, 5, r[5])) }, middle, 7, "moved or doubled"},
		{"reordered", func() { r := rows(); r[5], r[6] = r[6], r[5]; set(middle, r) }, middle, 6, "missing before it"},
		{"not a line", func() { r := rows(); r[5] = []byte("{}\n"); set(middle, r) }, middle, 6, "not a line"},
		{"signature of another line", func() {
			r := rows()
			i := slices.IndexFunc(r, func(b []byte) bool { return bytes.Contains(b, []byte(`"kind":"checkpoint"`)) })
			r[i] = bytes.Replace(r[i], []byte(`"sig":"`), []byte(`"sig":"A`), 1)
			set(middle, r)
		}, middle, 2, "not signed by the key"},
		{"cut within a line", func() { b := whole[middle]; set(middle, [][]byte{b[:len(b)-1]}) }, middle, bytes.Count(whole[middle], []byte("\n")), "the line is not complete"},
		{"file removed", func() { _ = os.Remove(middle) }, files[2], 1, "are missing before it"},
		{"first file removed", func() { _ = os.Remove(files[0]) }, middle, 1, "a file was removed"},
		{"end cut off", func() {
			r := bytes.SplitAfter(whole[o.File], []byte("\n"))
			set(o.File, r[:2]) // up to a checkpoint that is in order
		}, o.File, 0, "its end was cut off"},
		{"newest file removed", func() { _ = os.Remove(o.File) }, files[len(files)-2], 0, "its end was cut off"},
		{"head removed", func() { _ = os.Remove(headFile(o.File)) }, headFile(o.File), 1, "the file is missing"},
		{"head of an earlier time", func() {
			r := bytes.SplitAfter(whole[o.File], []byte("\n"))
			set(o.File, r[:2])
			set(headFile(o.File), [][]byte{r[1]})
		}, "", 0, ""}, // not to be seen without a mark; below
	} {
		restore()
		c.do()
		_, err := verify(t, o)
		if c.file == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var bad *Bad
		if !errors.As(err, &bad) || bad.File != c.file || bad.Line != c.line || !strings.Contains(bad.What, c.what) {
			t.Errorf("%s: %v, want %s:%d %s", c.name, err, c.file, c.line, c.what)
		}
	}
	restore()
	r, err := verify(t, o)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.SplitAfter(whole[o.File], []byte("\n"))
	set(o.File, last[:2])
	set(headFile(o.File), [][]byte{last[1]})
	if _, err := verify(t, o, r.Mark); err == nil || !strings.Contains(err.Error(), "its end was cut off") {
		t.Errorf("rolled back with its head, and a mark from elsewhere: %v", err)
	}
	closeLog(t, open(t, o)) // without a mark it cannot be told from a shorter one
}

// TestAnyChangeIsFound: no change of a single byte passes.
func TestAnyChangeIsFound(t *testing.T) {
	o := testOptions(t.TempDir())
	written(t, o, 1, 20)
	whole, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		i := rapid.IntRange(0, len(b)-1).Draw(rt, "byte")
		b[i] ^= byte(rapid.IntRange(1, 255).Draw(rt, "change"))
		if err := os.WriteFile(o.File, b, 0o600); err != nil {
			rt.Fatal(err)
		}
		r, err := verify(t, o)
		var bad *Bad
		if !errors.As(err, &bad) && !(i == len(b)-1 && r.Torn) {
			rt.Fatalf("byte %d of %d: %v", i, len(b), err)
		}
	})
}

// TestOtherKey: a log that somebody wrote anew with a key of their own does not pass for this one.
func TestOtherKey(t *testing.T) {
	o, other := testOptions(t.TempDir()), testOptions(t.TempDir())
	written(t, o, 1, 5)
	written(t, other, 1, 5)
	key, err := ReadKey(KeyFile(o.File))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(other.File, key); err == nil || !strings.Contains(err.Error(), "not a checkpoint signed by the key") {
		t.Errorf("%v", err)
	}
}

// TestCrash: wherever a crash cuts what was not signed, the next start goes on with what is complete, and notes the rest.
func TestCrash(t *testing.T) {
	o := testOptions(t.TempDir())
	l := open(t, o)
	for i := range 10 {
		l.Add(&Entry{Kind: Refused, ID: fmt.Sprint(i)})
	}
	waitSize(t, l, 12)
	whole, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	head, err := os.ReadFile(headFile(o.File))
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	signed := bytes.Index(whole, head) + len(head)
	for _, end := range []int{len(whole), len(whole) - 1, len(whole) - 60, signed + 10, signed} {
		for _, zeros := range []int{0, 100} {
			left := append(bytes.Clone(whole[:end]), make([]byte, zeros)...)
			for name, b := range map[string][]byte{o.File: left, headFile(o.File): head} {
				if err := os.WriteFile(name, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := open(t, o)
			l.Add(&Entry{Kind: Start})
			closeLog(t, l)
			if _, err := verify(t, o); err != nil {
				t.Fatalf("cut at %d with %d zeros: %v", end, zeros, err)
			}
			whole := bytes.HasSuffix(left, []byte("\n"))
			if n, e := count(t, o, Repaired); (n == 1) == whole || n == 1 && (e.Times <= 0 || len(e.Details) != 1) {
				t.Errorf("cut at %d with %d zeros: %d notes %+v", end, zeros, n, e)
			}
			if n, _ := count(t, o, Start); n != 1 {
				t.Errorf("%d starts", n)
			}
		}
	}
	for _, end := range []int{signed - 1, 10, 0} { // no crash leaves that
		for name, b := range map[string][]byte{o.File: whole[:end], headFile(o.File): head} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var bad *Bad
		if l, err := Open(o); !errors.As(err, &bad) {
			t.Errorf("cut at %d, before what was signed: %v", end, err)
			if l != nil {
				closeLog(t, l)
			}
		}
		if b, _ := os.ReadFile(o.File); !bytes.Equal(b, whole[:end]) {
			t.Error("a file in doubt was written to")
		}
	}
}

// waitSize waits until the file has so many lines.
func waitSize(t testing.TB, l *Log, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(l.options.File)
		if err == nil && bytes.Count(b, []byte("\n")) >= n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d lines do not come: %s", n, b)
		}
	}
}

// TestCrashBetweenFiles: a new file that has everything but its name gets it; one that has not is forgotten.
func TestCrashBetweenFiles(t *testing.T) {
	o := testOptions(t.TempDir())
	written(t, o, 1, 3)
	if err := os.Rename(o.File, o.File+".new"); err != nil {
		t.Fatal(err)
	}
	// Its last line is the head: complete.
	l := open(t, o)
	closeLog(t, l)
	if _, err := verify(t, o); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(o.File+".new", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	closeLog(t, l)
	if _, err := os.Stat(o.File + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a file stays: %v", err)
	}
	if err := os.Remove(o.File); err != nil {
		t.Fatal(err)
	}
	var bad *Bad
	if _, err := Open(o); !errors.As(err, &bad) || !strings.Contains(bad.What, "the file is gone") {
		t.Errorf("a log that was removed: %v", err)
	}
}

// fullDisk is a disk with so much room.
type fullDisk struct {
	mu   sync.Mutex
	room int
}

var errNoSpace = errors.New("no space left on device")

func (d *fullDisk) give(n int) { d.mu.Lock(); defer d.mu.Unlock(); d.room = n }

type fullFile struct {
	File
	d *fullDisk
}

func (f fullFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if len(b) <= f.d.room {
		f.d.room -= len(b)
		return f.File.Write(b)
	}
	n, err := f.File.Write(b[:f.d.room]) // half a line
	f.d.room = 0
	return n, errors.Join(err, errNoSpace)
}

// TestDiskFull: without room logins are refused, or go on and are counted, as configured; when there is room again the
// chain goes on without a gap, and the log says how many entries are lost.
func TestDiskFull(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		t.Run(fmt.Sprintf("continue=%v", goOn), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := &fullDisk{room: 1 << 20}
				o := testOptions(t.TempDir())
				o.Continue = goOn
				o.Open = func(name string) (File, error) {
					f, err := openFile(name)
					return fullFile{f, disk}, err
				}
				l := open(t, o)
				admit := func(name string) error { return l.Admit(&Entry{Kind: Login, Client: name}) }
				if err := admit("before"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				disk.give(100)
				_ = admit("first") // its write fails; nothing was known then
				time.Sleep(2 * time.Second)
				if l.Failed() == nil {
					t.Fatal("it does not know")
				}
				if err := admit("refused"); (err == nil) != goOn || !goOn && !errors.Is(err, errNoSpace) {
					t.Errorf("a login without a record: %v", err)
				}
				for i := range 3 * queueLength {
					l.Add(&Entry{Kind: Refused, ID: fmt.Sprint(i)})
				}
				if l.Lost() < 2*queueLength {
					t.Errorf("%d are lost", l.Lost())
				}
				disk.give(1 << 30)
				time.Sleep(3 * time.Second)
				if l.Failed() != nil {
					t.Errorf("still %v", l.Failed())
				}
				if err := admit("after"); err != nil {
					t.Error(err)
				}
				closeLog(t, l)
				if _, err := verify(t, o); err != nil {
					t.Error(err)
				}
				if n, last := count(t, o, Login); last.Client != "after" || n != map[bool]int{false: 3, true: 4}[goOn] {
					t.Errorf("%d logins, %+v", n, last)
				}
				if n, last := count(t, o, Lost); n != 1 || last.Times != l.Lost() {
					t.Errorf("%d notes about lost entries, %+v of %d", n, last, l.Lost())
				}
			})
		})
	}
}

// TestFlood: a flood of refusals of one layer has a bounded number of lines and is counted, and another layer has its own.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t.TempDir())
		l := open(t, o)
		const n = 5000
		for range n {
			l.AddRefusal(&Entry{Kind: Refused, Layer: "login"})
			synctest.Wait()
		}
		l.AddRefusal(&Entry{Kind: Refused, Layer: "access", ID: "other"})
		closeLog(t, l)
		lines, last := count(t, o, Refused)
		if lines != refusalBurst+1 || last.ID != "other" {
			t.Errorf("%d lines, %+v", lines, last)
		}
		if k, e := count(t, o, Suppressed); k != 1 || e.Layer != "login" || e.Times != n-refusalBurst {
			t.Errorf("%d, %+v", k, e)
		}
	})
}

// TestCheckpoints: nothing waits for a signature longer than it may, and nothing is signed when nothing happens.
func TestCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t.TempDir())
		l := open(t, o)
		time.Sleep(time.Hour)
		if n, _ := count(t, o, Checkpoint); n != 1 {
			t.Errorf("%d checkpoints of nothing", n)
		}
		l.Add(&Entry{Kind: Start})
		time.Sleep(time.Minute + 2*time.Second)
		if r, err := verify(t, o); err != nil || r.Signed != r.Last || r.Checkpoints != 2 {
			t.Errorf("%+v %v", r, err)
		}
		for range 2 * checkpointAfter {
			l.Add(&Entry{Kind: Refused})
			synctest.Wait()
		}
		if r, err := verify(t, o); err != nil || r.Checkpoints < 4 {
			t.Errorf("%+v %v", r, err)
		}
		closeLog(t, l)
	})
}

// TestForeignWriter: what somebody else adds to the file is not covered up.
func TestForeignWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t.TempDir())
		l := open(t, o)
		f, err := os.OpenFile(o.File, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x\n"); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		l.Add(&Entry{Kind: Start})
		time.Sleep(2 * time.Second)
		if err := l.Failed(); err == nil || !strings.Contains(err.Error(), "somebody else writes to it") {
			t.Error(err)
		}
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "lost") {
			t.Errorf("closed as if all were written: %v", err)
		}
	})
}

// FuzzParseLine: what parses is a line that comes out again byte for byte.
func FuzzParseLine(f *testing.F) {
	e := Entry{Seq: 1, Kind: Refused, Client: "c", Prev: (digest{}).String()}
	line, _, err := e.appendLine(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"seq":1,"hash":"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, hash, err := parseLine(b)
		if err != nil {
			return
		}
		if e.Hash != hash.String() || bytes.Count(b, []byte(hashMark+e.Hash)) != 1 {
			t.Errorf("%q", b)
		}
	})
}
