package store

import (
	"errors"
	"fmt"
	"time"
)

// The errors a caller branches on.
var (
	// ErrNotFound says that no such row exists.
	ErrNotFound = errors.New("not found")
	// ErrFull says that a batch which adds messages was refused because room is short: on the disk, in the memory a
	// memory store may use, or in the queue of batches that wait for the disk. Nothing of the batch was written.
	// Batches that only delete or change state are still taken, so that consumers make room.
	ErrFull = errors.New("store full")
	// ErrClosed says that the store is closed. Nothing of the batch was written.
	ErrClosed = errors.New("store closed")
	// ErrSchema says that the store was written by a program with another layout, or by no broker at all.
	ErrSchema = errors.New("unknown store layout")
	// ErrInvalid says that a batch breaks the rules of this package, which is an error of the program. Nothing of the
	// batch was written.
	ErrInvalid = errors.New("invalid batch")
)

// CorruptError says that stored data is damaged. The store changes nothing because of it.
type CorruptError struct {
	Where string // folder, and row or file, as far as known
	What  string // what is wrong with it
	Next  string // what the operator can do
	Err   error  // cause, may be nil
}

// Error tells what is damaged, where, and how to go on.
func (e *CorruptError) Error() string {
	s := fmt.Sprintf("damaged store: %s: %s", e.Where, e.What)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Next != "" {
		s += " (" + e.Next + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// InUseError says that another running process has the store open. Its fields other than Dir are what that process
// wrote about itself, and empty when it could not be read.
type InUseError struct {
	Dir     string
	PID     int
	Host    string
	Started time.Time
}

// Error names the process that holds the store.
func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("store %q is in use by another process", e.Dir)
	}
	return fmt.Sprintf("store %q is in use by process %d on host %q, running since %s",
		e.Dir, e.PID, e.Host, e.Started.UTC().Format(time.RFC3339))
}
