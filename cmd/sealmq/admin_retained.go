package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/topic"
)

type retainedAdminCommand struct {
	Ls retainedLsCommand `cmd:"" help:"List retained messages."`
	Rm retainedRmCommand `cmd:"" help:"Remove retained messages; subscribers are not told."`
}

// Example is the first line of the command's help.
func (*retainedAdminCommand) Example() string { return "sealmq admin retained ls plant/#" }

type retainedLsCommand struct {
	controlFlags `embed:""`

	Filter  string `arg:"" optional:"" name:"FILTER" default:"#" help:"Topic Filter; # does not cover $SYS."`
	After   string `placeholder:"TOPIC" help:"Begin behind this topic."`
	Limit   int    `default:"100" placeholder:"N" help:"Messages to show; 0 shows all."`
	Preview int    `placeholder:"BYTES" help:"Show so many bytes of each payload, at most 1024."`
}

// Example is the first line of the command's help.
func (*retainedLsCommand) Example() string { return "sealmq admin retained ls plant/# --preview 40" }

// retainedLine is the JSON form of one message.
type retainedLine struct {
	Schema string `json:"schema"`
	control.Retained
}

// Run prints the messages in the broker's order of topics.
func (c *retainedLsCommand) Run(ctx context.Context, a *app) error {
	filter, err := filterArg(c.Filter)
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return usageError(fmt.Sprint("cannot use --limit ", c.Limit), "it must be 0 or more", "")
	}
	if c.Preview < 0 || c.Preview > control.MaxPreview {
		return usageError(fmt.Sprint("cannot use --preview ", c.Preview), fmt.Sprint("it must be 0 to ", control.MaxPreview), "")
	}
	return c.ask("cannot list retained messages", func(cl *control.Client) error {
		after := c.After
		for left := c.Limit; ; {
			q := control.RetainedQuery{Filter: filter, After: after, Limit: control.MaxPage, Preview: c.Preview}
			if left > 0 {
				q.Limit = min(q.Limit, left)
			}
			page, err := cl.Retained(ctx, q)
			if err != nil {
				return err
			}
			if err := c.print(a, page.Messages, after == c.After); err != nil {
				return err
			}
			after = page.Next
			if left -= len(page.Messages); after == "" {
				return nil
			}
			if c.Limit > 0 && left <= 0 {
				a.note("there may be more messages: go on with --after " + after + ", or show all with --limit 0")
				return nil
			}
		}
	})
}

func (c *retainedLsCommand) print(a *app, list []control.Retained, first bool) error {
	if c.JSON {
		for i := range list {
			if err := a.printLine(retainedLine{"sealmq.retained/1", list[i]}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	preview := ""
	if c.Preview > 0 {
		preview = "\tPAYLOAD"
	}
	if first {
		writef(w, "TOPIC\tQOS\tPAYLOAD BYTES\tAUTHOR\tRECEIVED\tENDS%s\n", preview)
	}
	for i := range list {
		m := &list[i]
		if c.Preview > 0 {
			preview = "\t" + previewText(m.Preview)
		}
		writef(w, "%s\t%d\t%d\t%s\t%s\t%s%s\n", cell(m.Topic), m.QoS, m.PayloadBytes, cell(m.Author),
			timeText(&m.ReceivedAt), timeText(m.ExpiresAt), preview)
	}
	return w.Flush()
}

// previewText shows text as text and everything else in hexadecimal.
func previewText(b []byte) string {
	if utf8.Valid(b) {
		return cell(string(b))
	}
	return cell(fmt.Sprintf("0x%x", b))
}

type retainedRmCommand struct {
	controlFlags `embed:""`

	Filter string `arg:"" name:"FILTER" help:"Topic or Topic Filter."`
	DryRun bool   `name:"dry-run" help:"Only count."`
}

// Example is the first line of the command's help.
func (*retainedRmCommand) Example() string { return "sealmq admin retained rm plant/old/# --dry-run" }

// removal is the JSON form of what was removed.
type removal struct {
	Schema string `json:"schema"`
	DryRun bool   `json:"dry_run"`
	Filter string `json:"filter"`
	control.Removed
}

// Run removes the messages for good.
func (c *retainedRmCommand) Run(ctx context.Context, a *app) error {
	filter, err := filterArg(c.Filter)
	if err != nil {
		return err
	}
	var r control.Removed
	err = c.ask("cannot remove retained messages", func(cl *control.Client) (err error) {
		r, err = cl.RemoveRetained(ctx, filter, c.DryRun)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.printLine(removal{"sealmq.retained-removed/1", c.DryRun, c.Filter, r})
	}
	verb := "removed"
	if c.DryRun {
		verb = "would remove"
	}
	writef(a.stdout, "%s %d retained messages (%s)\n", verb, r.Count, bytesText(r.Bytes))
	return nil
}

func filterArg(s string) (topic.Filter, error) {
	f, err := topic.ParseFilter(s)
	if err != nil {
		return "", usageError("cannot use the topic filter "+s, err.Error(), "# and + stand for whole levels, # only at the end")
	}
	return f, nil
}
