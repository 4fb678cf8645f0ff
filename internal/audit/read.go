package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/boundedfile"
)

// lines calls f with every line of a file, without line end, and its number and offset. A last line without line end is
// torn.
func lines(path string, f func(line []byte, number int, offset int64, torn bool) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	r := bufio.NewReaderSize(file, 64<<10)
	var offset int64
	for number := 1; ; number++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		torn := errors.Is(err, io.EOF)
		if err != nil && !torn {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
		if err := f(bytes.TrimSuffix(line, []byte("\n")), number, offset, torn); err != nil {
			return err
		}
		offset += int64(len(line))
		if torn {
			return nil
		}
	}
}

var errLongLine = fmt.Errorf("a line of more than %d bytes", maxLine)

// readLine reads one line with its end, in bounded memory.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return line, errLongLine
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// Each calls yield with every entry of an audit log, oldest first, until it returns false. Lines that cannot be read are
// passed over: Verify is for them.
func Each(file string, yield func(e *Entry, line []byte) bool) error {
	files, err := Files(file)
	if err != nil {
		return err
	}
	done := errors.New("done")
	for _, path := range files {
		err := lines(path, func(line []byte, _ int, _ int64, _ bool) error {
			e, _, err := parseLine(line)
			if err == nil && !yield(e, line) {
				return done
			}
			return nil
		})
		if errors.Is(err, done) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // rotated away meanwhile
			return err
		}
	}
	return nil
}

// Mark is one line of a log, known from elsewhere.
type Mark struct {
	Seq  uint64
	Hash string
}

// ParseMark reads SEQ:HASH, as checkpoints are written to the log.
func ParseMark(s string) (Mark, error) {
	number, hash, ok := strings.Cut(s, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || len(hash) != 2*len(digest{}) {
		return Mark{}, fmt.Errorf("%q is not NUMBER:HASH of a checkpoint", s)
	}
	return Mark{seq, strings.ToLower(hash)}, nil
}

// Report is what Verify found out about a log that is in order.
type Report struct {
	Files       int
	First, Last uint64 // lines
	Checkpoints int
	Signed      uint64 // the last checkpoint; lines after it are chained only
	Key         string // name of the key that signed
	Mark        Mark   // of the last checkpoint, to be kept elsewhere
	Torn        bool   // the last line is not complete: a broker is writing, or stopped while it wrote
}

// Bad is the first line of a log that is not in order.
type Bad struct {
	File string
	Line int    // 1-based; 0 when something is missing at the end
	Seq  uint64 // of the entry, as far as it is known
	What string
	// Since is the last line that a signature vouches for; everything after it is in doubt.
	Since uint64
}

// Error names the place.
func (b *Bad) Error() string {
	place := b.File
	if b.Line > 0 {
		place += ":" + strconv.Itoa(b.Line)
	}
	return fmt.Sprintf("%s (entry %d): %s", place, b.Seq, b.What)
}

// Verify checks a whole log: every line's hash, the chain, the signatures of all checkpoints by key, that nothing is
// missing between files or before what the last checkpoint says is kept, that the last checkpoint that was ever written is
// still there, and that it contains the marks. The error is a *Bad for the first thing that is wrong.
func Verify(file string, key ed25519.PublicKey, marks ...Mark) (Report, error) {
	files, err := Files(file)
	if err != nil {
		return Report{}, err
	}
	head, err := readHead(file, key)
	if err != nil {
		return Report{}, err
	}
	marks = append(marks, head)
	w := &walker{key: key, marks: marks}
	for i, path := range files {
		if err := w.file(path, i == len(files)-1); err != nil {
			return Report{}, err
		}
	}
	last := files[len(files)-1]
	switch {
	case w.next == 0:
		return Report{}, &Bad{File: last, What: "the file is empty"}
	case w.kept != 0 && w.first > w.kept:
		return Report{}, &Bad{File: files[0], Line: 1, Seq: w.first, What: fmt.Sprintf("entries %d to %d are missing: a file was removed", w.kept, w.first-1)}
	}
	for _, m := range marks {
		if m.Seq >= w.next {
			return Report{}, &Bad{File: last, Seq: m.Seq, Since: w.signed, What: fmt.Sprintf("the log ends with entry %d, and entry %d was written once: its end was cut off", w.next-1, m.Seq)}
		}
	}
	return Report{
		Files: len(files), First: w.first, Last: w.next - 1, Checkpoints: w.checkpoints, Signed: w.signed, Key: keyName(key),
		Mark: Mark{w.signed, w.signedHash}, Torn: w.torn,
	}, nil
}

// readHead reads the file with the last checkpoint.
func readHead(file string, key ed25519.PublicKey) (Mark, error) {
	path := headFile(file)
	bad := func(what string) error { return &Bad{File: path, Line: 1, What: what} }
	line, err := boundedfile.Read(path, maxLine)
	if errors.Is(err, fs.ErrNotExist) {
		return Mark{}, bad("the file is missing: whether the end of the log was cut off cannot be told")
	}
	if err != nil {
		return Mark{}, err
	}
	e, _, err := parseLine(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil || !e.signedBy(key) { // nothing but a checkpoint has a signature
		return Mark{}, bad("not a checkpoint signed by the key " + keyName(key))
	}
	return Mark{e.Seq, e.Hash}, nil
}

// walker follows a chain.
type walker struct {
	key   ed25519.PublicKey
	marks []Mark

	first       uint64 // line seen
	next        uint64 // expected number; 0 before the first line
	prev        digest
	chain       string
	checkpoints int
	signed      uint64
	signedHash  string
	kept        uint64 // what the last checkpoint says
	end         int64  // offset behind the last good line of the file
	torn        bool   // the file ended within a line, and that was allowed
}

// file checks the lines of one file. With mayTear a last line without end is left out.
func (w *walker) file(path string, mayTear bool) error {
	w.end, w.torn = 0, false
	return lines(path, func(line []byte, number int, offset int64, torn bool) error {
		bad := func(seq uint64, what string) error {
			return &Bad{File: path, Line: number, Seq: seq, What: what, Since: w.signed}
		}
		if torn {
			if mayTear {
				w.torn = true
				return nil
			}
			return bad(w.next, "the line is not complete: the broker stopped while it wrote, or its end was cut off")
		}
		e, hash, err := parseLine(line)
		switch {
		case e == nil:
			return bad(w.next, errLine.Error())
		case err != nil:
			return bad(e.Seq, err.Error())
		}
		if what := w.step(e, hash); what != "" {
			return bad(e.Seq, what)
		}
		w.end = offset + int64(len(line)) + 1
		return nil
	})
}

// step checks one entry against the chain; "" when it is right.
func (w *walker) step(e *Entry, hash digest) string {
	switch {
	case w.next == 0:
		w.first = e.Seq
		if e.Seq == 1 && e.Prev != (digest{}).String() {
			return "the first entry of a chain names one before it"
		}
		if e.Kind != Begin {
			return "the first line of a file is not a begin"
		}
	case e.Seq > w.next:
		return fmt.Sprintf("entries %d to %d are missing before it", w.next, e.Seq-1)
	case e.Seq < w.next:
		return fmt.Sprintf("entry %d belongs here: it was moved or doubled", w.next)
	case e.Prev != w.prev.String():
		return "it does not follow the entry before it: one of them was replaced"
	}
	for _, m := range w.marks {
		if m.Seq == e.Seq && m.Hash != hash.String() {
			return "it is another entry than the one that was written: the log was replaced from here or before"
		}
	}
	if e.Chain != "" {
		if w.chain != "" && e.Chain != w.chain {
			return "it belongs to another chain"
		}
		w.chain = e.Chain
	}
	if e.Kind == Checkpoint {
		if !e.signedBy(w.key) {
			return fmt.Sprintf("the checkpoint is not signed by the key %s: something after entry %d was changed", keyName(w.key), w.signed)
		}
		w.checkpoints++
		w.signed, w.signedHash, w.kept = e.Seq, e.Hash, e.First
	}
	w.next, w.prev = e.Seq+1, hash
	return ""
}
