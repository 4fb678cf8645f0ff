package config

import (
	"path/filepath"
	"time"
)

// Audit says what is kept for auditors; without File nothing is.
type Audit struct {
	Enabled    bool
	File       string // absolute
	Rotate     Size
	Keep       int
	Checkpoint time.Duration
	OnFailure  AuditFailure
}

// On reports whether an audit file is written.
func (a *Audit) On() bool { return a.Enabled && a.File != "" }

// AuditFailure is what happens when nothing can be written to the audit file.
type AuditFailure string

// The values of audit.on_failure.
const (
	RefuseLogins AuditFailure = "refuse_logins" // who is not recorded is not let in
	GoOn         AuditFailure = "continue"      // what is not recorded is counted
)

// auditFile is the default within node.data_dir.
var auditFile = filepath.Join("audit", "audit.jsonl")

var auditKeys = []field[Config]{
	yesNo("audit.enabled", func(c *Config) *bool { return &c.Audit.Enabled }, true,
		"Keep a record of logins, refusals, administration and reloads; see audit.md.", restart),
	optionalPath("audit.file", func(c *Config) *string { return &c.Audit.File },
		"File of the record. Its signing key is node.data_dir/audit.key. With storage.engine memory there is none unless it is named.", restart,
		func(k *Key) { k.Default = "(node.data_dir/audit/audit.jsonl)" }),
	bounded(sizes, "audit.rotate", func(c *Config) *Size { return &c.Audit.Rotate }, 64*MiB, 64*KiB, 16*GiB,
		"Size above which a new file begins.", restart),
	bounded(counts, "audit.keep", func(c *Config) *int { return &c.Audit.Keep }, 20, 1, 100_000,
		"Full files that are kept; the oldest is removed.", restart),
	bounded(durations, "audit.checkpoint", func(c *Config) *time.Duration { return &c.Audit.Checkpoint }, time.Minute, time.Second, 24*time.Hour,
		"Longest time that an entry waits for a signature.", restart),
	choice("audit.on_failure", func(c *Config) *AuditFailure { return &c.Audit.OnFailure },
		"When the file cannot be written, as on a full disk: refuse_logins lets nobody in, and clients that are connected go on; "+
			"continue counts what is lost.", []AuditFailure{RefuseLogins, GoOn}, restart),
}

// completeAudit fills in the default file, where there is a data folder.
func (c *Config) completeAudit() {
	if c.Audit.File == "" && c.Audit.Enabled && c.Storage.Engine != EngineMemory {
		c.Audit.File = filepath.Join(c.Node.DataDir, auditFile)
	}
}

// pointlessAudit lists the keys that have no effect without a file.
func (c *Config) pointlessAudit() []pointless {
	because := "audit.enabled is false"
	switch {
	case c.Audit.On():
		return nil
	case c.Audit.Enabled:
		because = "storage.engine is memory, and audit.file names none"
	}
	var out []pointless
	for i := range auditKeys {
		if path := auditKeys[i].Path; path != "audit.enabled" {
			out = append(out, pointless{path, because})
		}
	}
	return out
}
