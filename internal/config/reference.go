package config

import (
	"fmt"
	"strings"
)

// Reference is the page docs/operate/configuration.md: every key, made of the same description that reads the file.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	section := ""
	for _, k := range Keys() {
		top, _, _ := strings.Cut(k.Path, ".")
		top = strings.TrimSuffix(top, "[]")
		if top != section {
			section = top
			fmt.Fprintf(&b, "\n## %s\n\n| key | value | default | restart | meaning |\n|---|---|---|---|---|\n", section)
		}
		value := k.Kind
		if k.Range != "" {
			value += ": " + k.Range
		}
		def := "required"
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		needs := ""
		if k.Restart {
			needs = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Path, value, def, needs, k.Doc)
	}
	return b.String()
}

const referenceHead = `# Configuration reference

One YAML file, given with ` + "`sealmq serve --config FILE`" + ` or the environment variable ` + "`SEALMQ_CONFIG`" + `. Check it with
` + "`sealmq config check FILE`" + `; see what is in force, and why, with ` + "`sealmq config show FILE --origin`" + `.
This page is generated from the table that reads the file.

- Unknown keys, keys that come twice, keys without effect and rules that can never decide are errors. All errors of a
  file are shown in one run, with line, column and the word that was probably meant.
- Values carry units. Sizes: ` + "`B`, `KiB`, `MiB`, `GiB`, `TiB`" + `. Durations: ` + "`ms`, `s`, `m`, `h`, `d`" + `, also combined
  (` + "`1h30m`" + `). Rates: per ` + "`/s`, `/m` or `/h`" + `. Where a range ends with ` + "`unlimited`" + `, that word is a value.
- Relative paths start at the folder of the file. Anchors, aliases and tags are not part of the format. A file has at
  most 1 MiB and 16 levels.
- Filters under ` + "`acl`" + `: a topic is allowed when a filter of ` + "`allow`" + ` and none of ` + "`deny`" + ` matches. Once ` + "`acl`" + ` is given,
  what it does not allow is denied.
- ` + "`acl`" + ` may be a list of rules instead; [acl.md](acl.md) describes them.
- A reload takes over all changes or none. It is refused when a key with "restart: yes" has changed.

The least file is ` + "`version: 1`" + `. A small one:

` + "```yaml sealmq.yaml" + `
version: 1
listeners:
  - {name: local, bind: "127.0.0.1:1883"}
auth: {anonymous: true}
acl:
  publish: {allow: ["sensors/#"], deny: ["sensors/secret/#"]}
  subscribe: {allow: ["sensors/#"]}
` + "```" + `

` + "```console" + `
$ sealmq config check sealmq.yaml
sealmq.yaml is valid
$ sealmq config show sealmq.yaml --origin
…
$ sealmq serve --config sealmq.yaml
` + "```" + `
`
