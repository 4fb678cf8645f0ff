package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
)

func testKey(fill byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, ed25519.SeedSize))
}

// forger writes lines as somebody does who knows the format, and has a key.
type forger struct {
	t    testing.TB
	key  ed25519.PrivateKey
	next uint64
	prev digest
	last []byte // line
	all  []byte
}

// add appends a line; change alters what the chain asks for.
func (f *forger) add(e Entry, change func(*Entry)) *forger {
	f.t.Helper()
	f.next++
	e.Seq, e.Prev, e.Time = f.next, f.prev.String(), time.Unix(int64(f.next), 0)
	if change != nil {
		change(&e)
	}
	var key ed25519.PrivateKey
	if e.Kind == Checkpoint {
		key = f.key
	}
	var err error
	if f.last, f.prev, err = e.appendLine(nil, key); err != nil {
		f.t.Fatal(err)
	}
	f.all = append(f.all, f.last...)
	f.next = e.Seq
	return f
}

func (f *forger) mark() Mark { return Mark{f.next, f.prev.String()} }

// TestWhatTheKeySigned: signatures do not make a log right whose lines do not fit each other, its head or the marks.
func TestWhatTheKeySigned(t *testing.T) {
	key, other := testKey(1), testKey(2)
	begun := func() *forger { return (&forger{t: t, key: key}).add(Entry{Kind: Begin, Chain: "c"}, nil) }
	signed := func() *forger { return begun().add(Entry{Kind: Checkpoint, Chain: "c", First: 1}, nil) }
	good := signed()
	late := (&forger{t: t, key: key, next: 4}).add(Entry{Kind: Begin, Chain: "c"}, nil)
	lateAfter := func(first uint64) *forger {
		f := *late
		f.all = bytes.Clone(late.all)
		return f.add(Entry{Kind: Checkpoint, Chain: "c", First: first}, nil)
	}
	stranger := signed()
	stranger.key = other
	for name, c := range map[string]struct {
		log   []byte
		head  []byte // nil: the last line
		marks []Mark
		want  string // "": in order
		line  int
	}{
		"good":                         {good.all, good.last, []Mark{good.mark(), {1, begun().prev.String()}}, "", 0},
		"first line is no begin":       {(&forger{t: t, key: key}).add(Entry{Kind: Start}, nil).add(Entry{Kind: Checkpoint}, nil).all, nil, nil, "not a begin", 1},
		"first entry names another":    {(&forger{t: t, key: key, prev: digest{1}}).add(Entry{Kind: Begin}, nil).add(Entry{Kind: Checkpoint}, nil).all, nil, nil, "names one before it", 1},
		"another chain":                {begun().add(Entry{Kind: Checkpoint, Chain: "d"}, nil).all, nil, nil, "another chain", 2},
		"lines without a chain":        {begun().add(Entry{Kind: Start}, nil).add(Entry{Kind: Checkpoint}, nil).all, nil, nil, "", 0},
		"a gap":                        {begun().add(Entry{Kind: Checkpoint}, func(e *Entry) { e.Seq = 3 }).all, nil, nil, "entries 2 to 2 are missing", 2},
		"doubled":                      {signed().add(Entry{Kind: Checkpoint}, func(e *Entry) { e.Seq = 2 }).all, good.last, nil, "entry 3 belongs here", 3},
		"follows another":              {begun().add(Entry{Kind: Checkpoint}, func(e *Entry) { e.Prev = digest{9}.String() }).all, nil, nil, "one of them was replaced", 2},
		"signed by another":            {stranger.add(Entry{Kind: Checkpoint}, nil).all, good.last, nil, "something after entry 2 was changed", 3},
		"begins later, and may":        {lateAfter(5).all, nil, nil, "", 0},
		"begins later than it says":    {lateAfter(3).all, nil, nil, "entries 3 to 4 are missing: a file was removed", 1},
		"says nothing of what is kept": {lateAfter(0).all, nil, nil, "", 0},
		"empty":                        {nil, good.last, nil, "the file is empty", 0},
		"mark of the next entry":       {good.all, nil, []Mark{{3, good.mark().Hash}}, "its end was cut off", 0},
		"mark of the past":             {good.all, nil, []Mark{{2, begun().mark().Hash}}, "it is another entry", 2},
		"mark of the first":            {good.all, nil, []Mark{{1, good.mark().Hash}}, "it is another entry", 1},
		"head of the next entry":       {begun().add(Entry{Kind: Start}, nil).all, signed().add(Entry{Kind: Checkpoint}, nil).last, nil, "its end was cut off", 0},
		"head is no checkpoint":        {good.all, begun().last, nil, "not a checkpoint signed by the key", 1},
		"head is nothing":              {good.all, []byte{}, nil, "not a checkpoint signed by the key", 1},
		"head of another key":          {good.all, (&forger{t: t, key: other, next: 1, prev: begun().prev}).add(Entry{Kind: Checkpoint, Chain: "c", First: 1}, nil).last, nil, "not a checkpoint signed by the key", 1},
		"a line before a torn one":     {append(bytes.Clone(good.all), "{"...), good.last, nil, "", 0},
	} {
		file := filepath.Join(t.TempDir(), "audit.log")
		if c.head == nil {
			rows := bytes.SplitAfter(bytes.TrimSpace(c.log), []byte("\n"))
			c.head = append(bytes.Clone(rows[len(rows)-1]), '\n')
		}
		for name, b := range map[string][]byte{file: c.log, headFile(file): c.head} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Verify(file, key.Public().(ed25519.PublicKey), c.marks...)
		var bad *Bad
		if c.want == "" && (err != nil || r.Last == 0) || c.want != "" && (!errors.As(err, &bad) || !strings.Contains(bad.What, c.want) || bad.Line != c.line) {
			t.Errorf("%s: %+v, %v, want %q on line %d", name, r, err, c.want, c.line)
		}
		if bad != nil && c.line > 0 && !strings.Contains(err.Error(), fmt.Sprintf(":%d (entry ", c.line)) || bad != nil && c.line == 0 && strings.Contains(err.Error(), ":0") {
			t.Errorf("%s: the place is %v", name, err)
		}
		if _, err := Verify(file, nil, c.marks...); err == nil {
			t.Errorf("%s: passes without a key", name)
		}
	}
	file := filepath.Join(t.TempDir(), "audit.log")
	if _, err := Verify(file, key.Public().(ed25519.PublicKey)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
	if err := os.WriteFile(file, good.all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(headFile(file), bytes.Repeat([]byte("x"), maxLine+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(file, key.Public().(ed25519.PublicKey)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an endless head: %v", err)
	}
}

// TestParseLine: a line has a body, the hash of it, and a signature if and only if it is a checkpoint; nothing else is read.
func TestParseLine(t *testing.T) {
	key := testKey(1)
	line := func(kind Kind, key ed25519.PrivateKey, why string) []byte {
		e := Entry{Seq: 1, Kind: kind, Why: why, Prev: digest{}.String()}
		b, _, err := e.appendLine(nil, key)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.TrimSuffix(b, []byte("\n"))
	}
	good, signed := line(Start, nil, ""), line(Checkpoint, key, "")
	hashed := func(body string) []byte {
		return []byte(body + hashMark + digest(sha256.Sum256([]byte(body))).String() + lineEnd)
	}
	long := func(n int) []byte { return line(Start, nil, strings.Repeat("x", n-len(line(Start, nil, "x"))+1)) }
	for name, c := range map[string]struct {
		line []byte
		good bool
	}{
		"good":                      {good, true},
		"checkpoint":                {signed, true},
		"as long as it may be":      {long(maxLine), true},
		"a byte more":               {long(maxLine + 1), false},
		"nothing":                   {nil, false},
		"no hash":                   {[]byte(`{"seq":1}`), false},
		"no end":                    {good[:len(good)-2], false},
		"a short hash":              {[]byte(`{"seq":1` + hashMark + "00" + lineEnd), false},
		"a hash of another text":    {bytes.Replace(good, []byte(`"seq":1`), []byte(`"seq":2`), 1), false},
		"a hash in capitals":        {bytes.ToUpper(good), false},
		"no object":                 {hashed(`[1`), false},
		"nothing before the hash":   {hashed(""), false},
		"signed, and no checkpoint": {line(Start, key, ""), false},
		"checkpoint without sign":   {line(Checkpoint, nil, ""), false},
		"another hash in a text":    {line(Start, nil, hashMark+strings.Repeat("0", 64)+lineEnd), true},
	} {
		e, _, err := parseLine(c.line)
		if (err == nil) != c.good || c.good && e == nil {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	public := key.Public().(ed25519.PublicKey)
	e, _, err := parseLine(signed)
	if err != nil || !e.signedBy(public) {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Entry){
		"no base64": func(e *Entry) { e.Sig = "!" }, "bits that belong to no byte": func(e *Entry) { e.Sig = e.Sig[:len(e.Sig)-3] + "B==" },
		"no signature": func(e *Entry) { e.Sig = "" }, "no hash": func(e *Entry) { e.Hash = "" }, "no hexadecimal": func(e *Entry) { e.Hash = "x" + e.Hash[1:] },
		"words behind the hash": func(e *Entry) { e.Hash += "x" },
	} {
		changed := *e
		if change(&changed); changed.signedBy(public) {
			t.Errorf("%s: passes", name)
		}
	}
	if e.signedBy(nil) || e.signedBy(public[:31]) || e.signedBy(testKey(2).Public().(ed25519.PublicKey)) {
		t.Error("signed by what is not the key")
	}
}

// TestAuditFiles: which files are read as keys and as parts of a log, and how much of them.
func TestAuditFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, text string) string {
		if err := privfile.Write(in(name), []byte(text)); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	public := keyText(testKey(1).Public().(ed25519.PublicKey))
	for text, good := range map[string]bool{
		public: true, " " + public + "\n": true, "": false, public[:40]: false, "AAAA": false, public + "AAAA": false, "!" + public[1:]: false,
		public + strings.Repeat(" ", 1<<10-len(public)): true, public + strings.Repeat(" ", 1<<10-len(public)+1): false,
	} {
		if key, err := ReadKey(put("key.pub", text)); (err == nil) != good || good && keyText(key) != public {
			t.Errorf("%.60q: %v", text, err)
		}
	}
	if _, err := ReadKey(in("missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for n, good := range map[int]bool{31: false, 32: true, 33: false, 0: false} {
		if _, err := loadKey(put("seed", strings.Repeat("s", n))); (err == nil) != good {
			t.Errorf("a seed of %d bytes: %v", n, err)
		}
	}
	if _, err := loadKey(in("missing/seed")); err == nil {
		t.Error("a key without a folder")
	}
	if _, err := Open(Options{File: in("log/audit.log"), Key: put("seed", "short")}); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("a key that is none: %v", err)
	}
	if _, err := Files(in("audit.log")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Files(in("missing/audit.log")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	number := strings.Repeat("0", numberDigits-1)
	for _, name := range []string{
		"audit-" + number + "7.log", "audit-" + number + "12.log", "audit-" + number + "x.log", "audit-7.log", "audit-" + number + "8.txt",
		"other-" + number + "9.log", number + "7.log", "audit-" + number + "7", "audit.log", "audit.log.new", "audit.log.head",
	} {
		put(name, "")
	}
	files, err := Files(in("audit.log"))
	if err != nil || len(files) != 2 || files[0] != in("audit-"+number+"7.log") || files[1] != in("audit.log") || files[0] != rotatedName(in("audit.log"), 7) {
		t.Errorf("%q, %v", files, err)
	}
	if err := os.Remove(in("audit.log")); err != nil {
		t.Fatal(err)
	}
	if files, err := Files(in("audit.log")); err != nil || len(files) != 1 {
		t.Errorf("%q, %v", files, err)
	}
	for text, good := range map[string]bool{
		"5:" + strings.Repeat("aB", 32): true, "5:" + strings.Repeat("ab", 31): false, "x:" + strings.Repeat("ab", 32): false,
		"-5:" + strings.Repeat("ab", 32): false, strings.Repeat("ab", 32): false, "": false,
	} {
		if m, err := ParseMark(text); (err == nil) != good || good && m != (Mark{5, strings.Repeat("ab", 32)}) {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
}

// TestEach: all entries of all files in their order, without what is no line, until the caller has enough.
func TestEach(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	f := &forger{t: t, key: testKey(1)}
	write := func(name string, more ...string) {
		if err := os.WriteFile(name, append(f.all, strings.Join(more, "")...), 0o600); err != nil {
			t.Fatal(err)
		}
		f.all = nil
	}
	f.add(Entry{Kind: Begin}, nil).add(Entry{Kind: Start}, nil)
	write(rotatedName(file, 1))
	f.add(Entry{Kind: Begin}, nil).add(Entry{Kind: Stop}, nil)
	write(file, "no line\n", string(f.last), "{")
	var seen []uint64
	see := func(most int) {
		t.Helper()
		seen = nil
		err := Each(file, func(e *Entry, line []byte) bool {
			if bytes.Contains(line, []byte("\n")) || !bytes.Contains(line, []byte(e.Hash)) {
				t.Errorf("entry %d is the line %q", e.Seq, line)
			}
			seen = append(seen, e.Seq)
			return len(seen) < most
		})
		if err != nil {
			t.Error(err)
		}
	}
	if see(99); fmt.Sprint(seen) != "[1 2 3 4 4]" {
		t.Errorf("saw %v", seen)
	}
	if see(1); fmt.Sprint(seen) != "[1]" {
		t.Errorf("saw %v", seen)
	}
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), maxLine+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Each(file, func(*Entry, []byte) bool { return true }); !errors.Is(err, errLongLine) {
		t.Errorf("a line without end: %v", err)
	}
	if err := os.WriteFile(file, append(bytes.Repeat([]byte("x"), maxLine-1), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if see(99); fmt.Sprint(seen) != "[1 2]" {
		t.Errorf("saw %v", seen)
	}
	if err := Each(filepath.Join(t.TempDir(), "audit.log"), func(*Entry, []byte) bool { return true }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
}

// TestEntriesAreBounded: whatever a client sends, a line stays far below its bound.
func TestEntriesAreBounded(t *testing.T) {
	text := func(n int) string { return strings.Repeat("é", n/2) }
	e := Entry{Why: text(maxText), Topic: text(maxText + 2), Client: "x" + text(maxText), Details: make([]string, maxDetails+3)}
	e.Details[0] = text(maxText + 2)
	e.cut()
	if e.Why != text(maxText) || e.Topic != text(maxText)+"…" || e.Client != "x"+text(maxText-2)+"…" {
		t.Errorf("%d, %d, %d bytes", len(e.Why), len(e.Topic), len(e.Client))
	}
	if len(e.Details) != maxDetails+1 || e.Details[maxDetails] != "and 3 more" || e.Details[0] != text(maxText)+"…" {
		t.Errorf("%d details, %q", len(e.Details), e.Details[maxDetails])
	}
	whole := Entry{Details: make([]string, maxDetails)}
	if whole.cut(); len(whole.Details) != maxDetails {
		t.Errorf("%d details", len(whole.Details))
	}
}
