package main

import (
	"fmt"
	"strings"
)

type completionCommand struct {
	Shell string `arg:"" name:"SHELL" enum:"bash,zsh,fish,powershell" help:"bash, zsh, fish or powershell."`
}

// Example is the first line of the command's help.
func (*completionCommand) Example() string { return "sealmq completion bash" }

// Run prints the script of one shell.
func (c *completionCommand) Run(a *app) error {
	root, err := a.modelTree()
	if err != nil {
		return err
	}
	writef(a.stdout, "%s", completions[c.Shell](root))
	return nil
}

// completions make the scripts. Each script knows the whole command line; it runs nothing and asks nobody.
var completions = map[string]func(*modelCommand) string{
	"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion, "powershell": powershellCompletion,
}

// words are what may stand behind the command: the names of its commands, then its flags.
func (c *modelCommand) words() (commands, flags []string) {
	for _, child := range c.children {
		commands = append(commands, child.path[len(child.path)-1])
	}
	for i := range c.flags {
		flags = append(flags, c.flags[i].names()...)
	}
	return commands, flags
}

// key names a command in a script: its words, joined with a blank.
func (c *modelCommand) key() string { return strings.Join(c.path, " ") }

const bashHead = `# bash completion for sealmq. To install it:
#   sealmq completion bash > ~/.local/share/bash-completion/completions/sealmq
_sealmq() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= word i commands flags files values
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		_sealmq_at "$path"
		case " $commands " in *" $word "*) path="${path:+$path }$word" ;; esac
	done
	_sealmq_at "$path"
	_sealmq_value "$path" "$prev"
	case $values in
	'') ;;
	@path) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
	@any) return ;;
	*) COMPREPLY=($(compgen -W "$values" -- "$cur")); return ;;
	esac
	case $cur in
	-*) COMPREPLY=($(compgen -W "$flags" -- "$cur")) ;;
	*)
		COMPREPLY=($(compgen -W "$commands" -- "$cur"))
		if [[ -n $files ]]; then COMPREPLY+=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; fi
		;;
	esac
}
`

func bashCompletion(root *modelCommand) string {
	var at, value strings.Builder
	root.all(func(c *modelCommand) {
		commands, flags := c.words()
		files := ""
		if c.paths() {
			files = "1"
		}
		fmt.Fprintf(&at, "\t%s) commands=%s flags=%s files=%s ;;\n", shellQuote(c.key()), shellQuote(strings.Join(commands, " ")),
			shellQuote(strings.Join(flags, " ")), files)
		for i := range c.flags {
			if f := &c.flags[i]; f.value != "" {
				for _, n := range f.names() {
					fmt.Fprintf(&value, "\t%s) values=%s ;;\n", shellQuote(c.key()+" "+n), shellQuote(f.hint()))
				}
			}
		}
	})
	return bashHead + "_sealmq_at() {\n\tcommands= flags= files=\n\tcase $1 in\n" + at.String() + "\tesac\n}\n" +
		"_sealmq_value() {\n\tvalues=\n\tcase \"$1 $2\" in\n" + value.String() + "\tesac\n}\ncomplete -F _sealmq sealmq\n"
}

// hint is what a script knows of a flag's value: its words, that it is a path, or nothing.
func (f *modelFlag) hint() string {
	switch {
	case len(f.words) > 0:
		return strings.Join(f.words, " ")
	case f.takesPath():
		return "@path"
	}
	return "@any"
}

// shellQuote writes s as one word of a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const zshHead = `#compdef sealmq
# zsh completion for sealmq. To install it, in a folder of $fpath:
#   sealmq completion zsh > ~/.zfunc/_sealmq
_sealmq() {
	local at= word values files
	local -a commands flags
	integer i
	for ((i = 2; i < CURRENT; i++)); do
		word=${words[i]}
		_sealmq_at "$at"
		if (( ${commands[(I)${word}:*]} )); then at="${at:+$at }$word"; fi
	done
	_sealmq_at "$at"
	_sealmq_value "$at" "${words[CURRENT-1]}"
	case $values in
	'') ;;
	@path) _files; return ;;
	@any) return 1 ;;
	*) compadd -- ${=values}; return ;;
	esac
	if [[ ${words[CURRENT]} == -* ]]; then
		_describe -o flag flags
	else
		if (( ${#commands} )); then _describe command commands; fi
		if [[ -n $files ]]; then _files; fi
	fi
}
`

func zshCompletion(root *modelCommand) string {
	var at, value strings.Builder
	root.all(func(c *modelCommand) {
		fmt.Fprintf(&at, "\t%s)\n\t\tcommands=(", shellQuote(c.key()))
		for _, child := range c.children {
			at.WriteString("\n\t\t\t" + shellQuote(child.path[len(child.path)-1]+":"+child.help))
		}
		at.WriteString(")\n\t\tflags=(")
		for i := range c.flags {
			for _, n := range c.flags[i].names() {
				at.WriteString("\n\t\t\t" + shellQuote(n+":"+strings.ReplaceAll(c.flags[i].help, ":", `\:`)))
			}
		}
		at.WriteString(")\n")
		if c.paths() {
			at.WriteString("\t\tfiles=1\n")
		}
		at.WriteString("\t\t;;\n")
		for i := range c.flags {
			if f := &c.flags[i]; f.value != "" {
				for _, n := range f.names() {
					fmt.Fprintf(&value, "\t%s) values=%s ;;\n", shellQuote(c.key()+" "+n), shellQuote(f.hint()))
				}
			}
		}
	})
	return zshHead + "_sealmq_at() {\n\tcommands=() flags=() files=\n\tcase $1 in\n" + at.String() + "\tesac\n}\n" +
		"_sealmq_value() {\n\tvalues=\n\tcase \"$1 $2\" in\n" + value.String() + "\tesac\n}\n" +
		"if [[ $funcstack[1] == _sealmq ]]; then _sealmq \"$@\"; else compdef _sealmq sealmq; fi\n"
}
