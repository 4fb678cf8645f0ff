package privfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// A log file is a magic number, then records
//
//	length (4) || CRC-32C (4) || key length (2) || key || value
//
// where length counts what follows the CRC, and the CRC covers it. A record
// replaces those before with its key. A torn last record is what a crash
// during Save leaves; its Save never returned, so it is dropped.
const (
	logMagic     = "SealMQs1"
	recordHead   = 8
	maxLogRecord = 1 << 17
	maxLogFile   = 1 << 30
	compactAbove = 1 << 20 // bytes below which a file is not rewritten
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is wrapped when a log holds what no crash leaves behind.
var ErrDamaged = errors.New("damaged log")

// Log keeps short keys with their last values in one append-only file, used by
// one process at a time. It is safe for concurrent use.
type Log struct {
	path string
	lock io.Closer

	mu   sync.Mutex // guards all below; serialises appends
	f    *os.File
	last map[string][]byte
	size int64
	live int64 // bytes the last values need
}

// OpenLog opens or creates the file with mode 0600 and reads it. A record
// damaged anywhere but at the torn end is an error, never forgotten.
func OpenLog(path string) (*Log, error) {
	lock, err := Lock(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	s := &Log{path: path, lock: lock, last: map[string][]byte{}}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), lock.Close())
	}
	return s, nil
}

func (s *Log) load() error {
	b, err := Read(s.path, maxLogFile)
	if errors.Is(err, os.ErrNotExist) {
		return s.rewrite()
	}
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b, []byte(logMagic)) {
		return fmt.Errorf("%s: %w: no log file", s.path, ErrDamaged)
	}
	rest := b[len(logMagic):]
	for len(rest) > 0 {
		n, err := s.readRecord(rest)
		if err != nil {
			return fmt.Errorf("%s at byte %d: %w", s.path, len(b)-len(rest), err)
		}
		if n == 0 { // torn end
			break
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return s.rewrite()
	}
	if s.f, err = os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	s.size = int64(len(b))
	return nil
}

// readRecord takes one record; it returns 0 for a torn end.
func (s *Log) readRecord(b []byte) (int, error) {
	// A file system may have grown the file and not written the data yet.
	if len(b) < recordHead || len(bytes.Trim(b, "\x00")) == 0 {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint32(b))
	if n < 2 || n > maxLogRecord {
		return 0, ErrDamaged
	}
	if len(b) < recordHead+n {
		return 0, nil
	}
	body := b[recordHead : recordHead+n]
	if crc32.Checksum(body, crcTable) != binary.BigEndian.Uint32(b[4:]) {
		if len(b) == recordHead+n { // the length reached the disk before the rest
			return 0, nil
		}
		return 0, ErrDamaged
	}
	k := int(binary.BigEndian.Uint16(body))
	if k > len(body)-2 {
		return 0, ErrDamaged
	}
	s.put(body[2:2+k], body[2+k:])
	return recordHead + n, nil
}

func (s *Log) put(key, value []byte) {
	if old, ok := s.last[string(key)]; ok {
		s.live -= int64(recordHead + 2 + len(key) + len(old))
	}
	s.last[string(key)] = bytes.Clone(value)
	s.live += int64(recordHead + 2 + len(key) + len(value))
}

func appendRecord(dst, key, value []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(2+len(key)+len(value)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(key)))
	dst = append(append(dst, key...), value...)
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(dst[start+recordHead:], crcTable))
	return dst
}

// Load yields every key once with its last value.
func (s *Log) Load(yield func(key, value []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, value := range s.last {
		if err := yield([]byte(key), value); err != nil {
			return err
		}
	}
	return nil
}

// Save returns when the pair is durable. After an error of the disk the file takes nothing
// more: what it holds is no longer certain.
func (s *Log) Save(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return fmt.Errorf("%s: %w", s.path, os.ErrClosed)
	}
	if len(key) > 1<<16-1 || len(key)+len(value) > maxLogRecord-2 {
		return fmt.Errorf("%s: record of %d bytes", s.path, len(key)+len(value))
	}
	b := appendRecord(nil, key, value)
	_, err := s.f.Write(b)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		err = errors.Join(err, s.f.Close())
		s.f = nil
		return err
	}
	s.put(key, value)
	s.size += int64(len(b))
	if s.size > compactAbove && s.size > 4*s.live {
		return s.rewrite()
	}
	return nil
}

// Copy writes the last values, as they are at one moment, to a new log file. It survives a crash once Copy has returned.
func (s *Log) Copy(path string) error {
	s.mu.Lock()
	b := s.compact()
	s.mu.Unlock()
	return Create(path, b)
}

// compact returns a log with the last values only.
func (s *Log) compact() []byte {
	b := []byte(logMagic)
	for key, value := range s.last {
		b = appendRecord(b, []byte(key), value)
	}
	return b
}

// rewrite replaces the file by one with the last values only.
func (s *Log) rewrite() error {
	b := s.compact()
	if s.f != nil {
		if err := s.f.Close(); err != nil {
			return err
		}
		s.f = nil
	}
	if err := Write(s.path, b); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s.f, s.size = f, int64(len(b))
	return nil
}

// Close releases the file and its lock.
func (s *Log) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.f != nil {
		err = s.f.Close()
		s.f = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}
