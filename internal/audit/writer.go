package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/internal/boundedfile"
	"github.com/sealmq/sealmq/internal/privfile"
)

// writer has the file and the state of the chain. It belongs to one goroutine. A failed write leaves file and state as they
// were before, so that it can be tried again.
type writer struct {
	o   *Options
	key ed25519.PrivateKey
	f   File

	chain    string
	next     uint64 // number of the next entry
	prev     digest
	first    uint64 // of the current file
	size     int64
	unsigned int       // entries since the last checkpoint
	signedAt time.Time // the last checkpoint
	dirty    bool      // something is not synced
	shut     bool      // the current file is complete and not open
	ready    bool      // a new file is written and only needs its name
	torn     bool      // a failed write could not be taken back yet
	syncedAt time.Time
	closed   error // what closing came to
}

// open finds the end of the chain, or begins one.
func (w *writer) open() error {
	if err := os.MkdirAll(filepath.Dir(w.o.File), 0o700); err != nil {
		return fmt.Errorf("audit folder: %w", err)
	}
	if info, err := os.Lstat(w.o.File); err == nil {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("audit file: %s is not a regular file", w.o.File)
		}
		if err := privfile.Check(w.o.File, info); err != nil {
			return fmt.Errorf("audit file: %w", err)
		}
	}
	if err := privfile.Write(KeyFile(w.o.File), []byte(keyText(w.public())+"\n")); err != nil {
		return fmt.Errorf("audit public key: %w", err)
	}
	if err := w.completeBegin(); err != nil {
		return err
	}
	files, err := Files(w.o.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(headFile(w.o.File)); err == nil {
			return &Bad{File: w.o.File, What: "the file is gone, and " + headFile(w.o.File) + " says that there was one"}
		}
		w.chain, w.next = rand.Text(), 1
		return w.begin()
	case err != nil:
		return fmt.Errorf("audit file: %w", err)
	}
	return w.resume(files[len(files)-1])
}

func (w *writer) public() ed25519.PublicKey { return w.key.Public().(ed25519.PublicKey) }

// resume checks the newest file and goes on behind its last line.
func (w *writer) resume(last string) error {
	head, err := readHead(w.o.File, w.public())
	if err != nil {
		return err
	}
	walk := &walker{key: w.public(), marks: []Mark{head}}
	err = walk.file(last, true)
	var bad *Bad
	switch {
	case errors.As(err, &bad) && walk.next > head.Seq: // behind everything that was signed: a crash may leave that
	case err != nil:
		return err
	case walk.next <= head.Seq:
		return &Bad{File: last, Seq: head.Seq, Since: walk.signed, What: fmt.Sprintf("the log ends with entry %d, and entry %d was written once: its end was cut off", walk.next-1, head.Seq)}
	}
	w.chain, w.next, w.prev, w.first, w.size = walk.chain, walk.next, walk.prev, walk.first, walk.end
	if last != w.o.File { // a crash between two files
		return w.begin()
	}
	info, err := os.Stat(last)
	if err != nil {
		return fmt.Errorf("audit file: %w", err)
	}
	var note []Entry
	if cut := info.Size() - w.size; cut > 0 {
		aside, err := w.setAside(cut)
		if err != nil {
			return err
		}
		note = []Entry{{
			Time: time.Now().UTC(), Kind: Repaired, Times: cut,
			Details: []string{"bytes behind the last complete entry, kept in " + filepath.Base(aside)},
		}}
	}
	if w.f, err = w.o.Open(last); err != nil {
		return fmt.Errorf("audit file: %w", err)
	}
	if err := w.f.Truncate(w.size); err != nil {
		return errors.Join(fmt.Errorf("audit file: %w", err), w.f.Close())
	}
	w.signedAt = time.Now()
	w.unsigned = int(min(w.next-1-walk.signed, checkpointAfter))
	if len(note) == 0 {
		return nil
	}
	return w.append(note, false)
}

// setAside keeps what is cut off from the end of the file.
func (w *writer) setAside(n int64) (name string, err error) {
	f, err := os.Open(w.o.File)
	if err != nil {
		return "", fmt.Errorf("audit file: %w", err)
	}
	defer f.Close()                  //nolint:errcheck // only read
	b := make([]byte, min(n, 1<<20)) // more is no torn line; its beginning will do
	if _, err := f.ReadAt(b, w.size); err != nil {
		return "", fmt.Errorf("audit file: %w", err)
	}
	name = fmt.Sprintf("%s.cut-%d", w.o.File, w.next)
	if err := privfile.Write(name, b); err != nil {
		return "", fmt.Errorf("audit file: %w", err)
	}
	return name, nil
}

// completeBegin gives a new file its name if it is complete, and removes it if it is not.
func (w *writer) completeBegin() error {
	fresh, err := boundedfile.Read(w.begun(), 2*maxLine)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("audit file: %w", err)
	}
	_, gone := os.Lstat(w.o.File)
	head, err := boundedfile.Read(headFile(w.o.File), maxLine)
	if err == nil && errors.Is(gone, fs.ErrNotExist) && len(head) > 0 && bytes.HasSuffix(fresh, head) {
		return os.Rename(w.begun(), w.o.File)
	}
	return os.Remove(w.begun())
}

// begun is the name of a new file until its checkpoint is also in the head file.
func (w *writer) begun() string { return w.o.File + ".new" }

// begin starts a new file with its first line and a checkpoint, which says what is kept from now on. It gets its name last:
// whenever the broker is stopped, open finds either the old state, or a new file that only needs its name.
func (w *writer) begin() error {
	if w.shut {
		return w.reopen()
	}
	if !w.ready {
		if err := w.writeBegin(); err != nil {
			return fmt.Errorf("audit file: %w", err)
		}
		w.ready = true
	}
	if err := os.Rename(w.begun(), w.o.File); err != nil {
		return fmt.Errorf("audit file: %w", err)
	}
	w.ready = false
	if err := w.reopen(); err != nil {
		return fmt.Errorf("audit file: %w", err)
	}
	return w.removeOld()
}

// writeBegin writes the beginning of a new file, without its name. After an error nothing has changed.
func (w *writer) writeBegin() error {
	if err := os.Remove(w.begun()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := w.o.Open(w.begun())
	if err != nil {
		return err
	}
	before := *w
	w.f, w.size, w.first = f, 0, w.next
	entry := Entry{Time: time.Now().UTC(), Kind: Begin, Chain: w.chain, Key: keyText(w.public())}
	err = w.append([]Entry{entry}, true)
	if err == nil && w.unsigned > 0 {
		err = errors.New("its first checkpoint cannot be kept")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		*w = before
		return err
	}
	w.f = nil
	return nil
}

// removeOld removes the files that are too many. The last checkpoint does not name them any more.
func (w *writer) removeOld() error {
	files, err := w.rotated()
	if err != nil {
		return err
	}
	for _, name := range files[:max(len(files)-w.o.Keep, 0)] {
		if err := os.Remove(name); err != nil {
			w.o.Log.Warn("an old audit file stays", "file", name, "err", err)
		}
	}
	return nil
}

// write appends a batch, and does what time and size ask for. It is called at least every second.
func (w *writer) write(batch []Entry) error {
	if w.f == nil { // the last file could not be begun
		if err := w.begin(); err != nil {
			return err
		}
	}
	now := time.Now()
	unsigned := w.unsigned + len(batch)
	sign := unsigned >= checkpointAfter || unsigned > 0 && now.Sub(w.signedAt) >= w.o.Checkpoint
	if len(batch) > 0 || sign {
		if err := w.append(batch, sign); err != nil {
			return err
		}
	}
	if w.dirty && now.Sub(w.syncedAt) >= syncEvery {
		if err := w.sync(); err != nil {
			return err
		}
	}
	if w.size >= w.o.Rotate {
		if err := w.rotate(); err != nil {
			// The batch is written: trying again must not write it twice.
			w.o.Log.Warn("the audit file grows above its size", "file", w.o.File, "err", err)
		}
	}
	return nil
}

// append writes entries, and a checkpoint after them if sign is set, all or nothing.
func (w *writer) append(batch []Entry, sign bool) error {
	size, err := w.f.Size()
	if err != nil {
		return err
	}
	if w.torn && size > w.size {
		if err := w.f.Truncate(w.size); err != nil {
			return err
		}
		w.torn, size = false, w.size
	}
	if size != w.size {
		return fmt.Errorf("%s has %d bytes instead of %d: somebody else writes to it", w.o.File, size, w.size)
	}
	var b []byte
	next, prev := w.next, w.prev
	line := func(e *Entry, key ed25519.PrivateKey) (err error) {
		e.Seq, e.Prev = next, prev.String()
		if b, prev, err = e.appendLine(b, key); err == nil {
			next++
		}
		return err
	}
	for i := range batch {
		if err := line(&batch[i], nil); err != nil {
			return err
		}
	}
	head := len(b)
	if sign {
		kept, err := w.keptAfter()
		if err != nil {
			return err
		}
		e := Entry{Time: time.Now().UTC(), Kind: Checkpoint, Chain: w.chain, Key: keyName(w.public()), First: kept}
		if err := line(&e, w.key); err != nil {
			return err
		}
	}
	_, err = w.f.Write(b)
	if err == nil && sign {
		err = w.f.Sync()
	}
	if err != nil {
		cut := w.f.Truncate(w.size)
		w.torn = cut != nil
		return errors.Join(err, cut)
	}
	w.next, w.prev = next, prev
	w.size += int64(len(b))
	w.unsigned += len(batch)
	w.dirty = !sign
	if !sign {
		return nil
	}
	w.signedAt, w.syncedAt = time.Now(), time.Now()
	if err := privfile.Write(headFile(w.o.File), b[head:]); err != nil {
		w.o.Log.Warn("the last audit checkpoint is not kept beside the file", "file", headFile(w.o.File), "err", err)
		return nil // the next one may be
	}
	w.unsigned = 0
	w.o.Log.Debug("audit checkpoint", "mark", fmt.Sprintf("%d:%s", next-1, prev))
	return nil
}

func (w *writer) sync() error {
	if err := w.f.Sync(); err != nil {
		return err
	}
	w.dirty, w.syncedAt = false, time.Now()
	return nil
}

// keptAfter is the oldest line that stays when the files beyond Keep are gone.
func (w *writer) keptAfter() (uint64, error) {
	files, err := w.rotated()
	if err != nil {
		return 0, err
	}
	if over := len(files) - w.o.Keep; over > 0 {
		files = files[over:]
	}
	if len(files) == 0 {
		return w.first, nil
	}
	return firstOf(files[0])
}

// rotated are the files before the current one.
func (w *writer) rotated() ([]string, error) {
	files, err := Files(w.o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if files[len(files)-1] == w.o.File {
		files = files[:len(files)-1]
	}
	return files, nil
}

// firstOf is the number in the name of a rotated file.
func firstOf(name string) (uint64, error) {
	stem, _ := split(name)
	var n uint64
	_, err := fmt.Sscanf(stem[len(stem)-numberDigits:], "%d", &n)
	return n, err
}

// rotate closes the file with a checkpoint and begins another.
func (w *writer) rotate() error {
	if err := w.append(nil, true); err != nil {
		return err
	}
	if err := w.f.Close(); err != nil {
		return err
	}
	w.f = nil
	if err := os.Rename(w.o.File, rotatedName(w.o.File, w.first)); err != nil {
		return errors.Join(err, w.reopen())
	}
	return w.begin()
}

// reopen opens the current file, which exists.
func (w *writer) reopen() error {
	f, err := w.o.Open(w.o.File)
	if w.shut = err != nil; w.shut {
		return err
	}
	w.f = f
	return nil
}

// close signs what is not signed yet.
func (w *writer) close() error {
	if w.f == nil {
		return nil
	}
	var err error
	if w.unsigned > 0 {
		err = w.append(nil, true)
	}
	return errors.Join(err, w.f.Close())
}

// osFile is a File of the operating system.
type osFile struct{ *os.File }

func openFile(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Size implements File.
func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
