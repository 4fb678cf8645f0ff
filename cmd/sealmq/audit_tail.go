package main

import (
	"context"
	"os"
	"time"

	"github.com/sealmq/sealmq/internal/audit"
)

// followEvery is how often tail looks for new entries.
const followEvery = 500 * time.Millisecond

type auditTailCommand struct {
	auditFlags `embed:""`

	Lines  int  `short:"n" default:"20" placeholder:"N" help:"Entries to show."`
	Follow bool `help:"Go on with new entries until interrupted."`
	JSON   bool `name:"json" help:"The lines as they are in the file."`
}

// Example is the first line of the command's help.
func (*auditTailCommand) Example() string {
	return "sealmq audit tail --data sealmq-data -n 50 --follow"
}

// Run shows entries as they are, in order or not: sealmq audit verify judges.
func (c *auditTailCommand) Run(ctx context.Context, a *app) error {
	file, err := c.path()
	if err != nil {
		return err
	}
	if c.Lines < 0 || c.Lines > maxTail {
		return usageError("cannot show so many entries", "-n is a number from 0 to 1000000", "")
	}
	var last []string
	seen := uint64(0)
	err = audit.Each(file, func(e *audit.Entry, line []byte) bool {
		seen = e.Seq
		if last = append(last, c.text(e, line)); len(last) > c.Lines {
			last = last[1:]
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, s := range last {
		writef(a.stdout, "%s\n", s)
	}
	var size int64
	for c.Follow {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		if info, err := os.Stat(file); err == nil && info.Size() == size {
			continue
		} else if err == nil {
			size = info.Size()
		}
		err := audit.Each(file, func(e *audit.Entry, line []byte) bool {
			if e.Seq > seen {
				seen = e.Seq
				writef(a.stdout, "%s\n", c.text(e, line))
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const maxTail = 1_000_000

func (c *auditTailCommand) text(e *audit.Entry, line []byte) string {
	if c.JSON {
		return string(line)
	}
	return entryLine(e)
}
