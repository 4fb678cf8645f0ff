package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `name:"json" help:"Print one JSON object."`
	Deps bool `help:"Also list every module that is linked in, with its checksum."`
}

// Example is the first line of the command's help.
func (*versionCommand) Example() string { return "sealmq version --deps" }

// build describes the running binary, as the linker recorded it.
type build struct {
	Schema   string   `json:"schema"`
	Version  string   `json:"version"`
	Commit   string   `json:"commit,omitempty"`
	Time     string   `json:"time,omitempty"`
	Modified bool     `json:"modified"` // built from a tree with uncommitted changes
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Modules  []module `json:"modules,omitempty"`
}

type module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"`
}

// Run prints the build.
func (c *versionCommand) Run(a *app) error {
	b := readBuild(c.Deps)
	if c.JSON {
		return printJSON(a.stdout, b)
	}
	line := "sealmq " + b.Version
	if b.Commit != "" {
		line += " (" + b.Commit
		if b.Modified {
			line += ", modified"
		}
		line += ")"
	}
	writef(a.stdout, "%s %s %s\n", line, b.Go, b.Platform)
	for _, m := range b.Modules {
		writef(a.stdout, "%s %s %s\n", m.Path, m.Version, m.Sum)
	}
	return nil
}

func readBuild(deps bool) build {
	b := build{Schema: "sealmq.version/1", Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	if !deps {
		return b
	}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		b.Modules = append(b.Modules, module{Path: d.Path, Version: d.Version, Sum: d.Sum})
	}
	return b
}

// printJSON writes one indented JSON object.
func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	writef(w, "%s\n", text)
	return nil
}
