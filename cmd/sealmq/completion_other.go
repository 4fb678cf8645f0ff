package main

import (
	"fmt"
	"strings"
)

const fishHead = `# fish completion for sealmq. To install it:
#   sealmq completion fish > ~/.config/fish/completions/sealmq.fish
function __sealmq_path
	set -l path ''
	for word in (commandline -opc)[2..-1]
		set -l next (string trim -- "$path $word")
		contains -- "$next" $__sealmq_commands; and set path $next
	end
	echo $path
end
function __sealmq_at
	test (__sealmq_path) = "$argv"
end
complete -c sealmq -f
`

func fishCompletion(root *modelCommand) string {
	var b strings.Builder
	b.WriteString(fishHead + "set -g __sealmq_commands")
	root.all(func(c *modelCommand) {
		if len(c.path) > 0 {
			b.WriteString(" " + fishQuote(c.key()))
		}
	})
	b.WriteString("\n")
	root.all(func(c *modelCommand) {
		when := "complete -c sealmq -n " + fishQuote("__sealmq_at "+fishQuote(c.key()))
		for _, child := range c.children {
			fmt.Fprintf(&b, "%s -a %s -d %s\n", when, fishQuote(child.path[len(child.path)-1]), fishQuote(child.help))
		}
		if c.paths() {
			fmt.Fprintf(&b, "%s -F\n", when)
		}
		for i := range c.flags {
			f := &c.flags[i]
			line := when + " -l " + f.long
			if f.short != 0 {
				line += " -s " + string(f.short)
			}
			switch {
			case len(f.words) > 0:
				line += " -x -a " + fishQuote(strings.Join(f.words, " "))
			case f.takesPath():
				line += " -r -F"
			case f.value != "":
				line += " -x"
			}
			b.WriteString(line + " -d " + fishQuote(f.help) + "\n")
		}
	})
	return b.String()
}

// fishQuote writes s as one word of fish.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

const powershellHead = `# PowerShell completion for sealmq. To install it:
#   sealmq completion powershell >> $PROFILE
Register-ArgumentCompleter -Native -CommandName sealmq -ScriptBlock {
	param($wordToComplete, $commandAst, $cursorPosition)
	$commands = @{
%s	}
	$flags = @{
%s	}
	$values = @{
%s	}
	$path = ''
	$words = @($commandAst.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
	foreach ($word in $words) {
		if ($commands[$path] -and $commands[$path].Contains($word)) { $path = ($path + ' ' + $word).Trim() }
	}
	$previous = if ($words.Count) { $words[-1] } else { '' }
	$key = $path + ' ' + $previous
	if ($values.ContainsKey($key)) {
		$offer = $values[$key]
		if ($offer -eq '@path' -or $offer -eq '@any') { return }
		$offer -split ' ' | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
		return
	}
	$from = if ($wordToComplete -like '-*') { $flags[$path] } else { $commands[$path] }
	if (-not $from) { return }
	$from.GetEnumerator() | Where-Object { $_.Key -like "$wordToComplete*" } | Sort-Object Key | ForEach-Object {
		[System.Management.Automation.CompletionResult]::new($_.Key, $_.Key, 'ParameterName', $_.Value)
	}
}
`

func powershellCompletion(root *modelCommand) string {
	var commands, flags, values strings.Builder
	root.all(func(c *modelCommand) {
		fmt.Fprintf(&commands, "\t\t%s = [ordered]@{", psQuote(c.key()))
		for _, child := range c.children {
			fmt.Fprintf(&commands, " %s = %s;", psQuote(child.path[len(child.path)-1]), psQuote(child.help))
		}
		commands.WriteString(" }\n")
		// A case-sensitive table: -t and -T are two flags.
		fmt.Fprintf(&flags, "\t\t%s = & { $t = [System.Collections.Hashtable]::new([StringComparer]::Ordinal);", psQuote(c.key()))
		for i := range c.flags {
			for _, n := range c.flags[i].names() {
				fmt.Fprintf(&flags, " $t[%s] = %s;", psQuote(n), psQuote(c.flags[i].help))
				if c.flags[i].value != "" {
					fmt.Fprintf(&values, "\t\t%s = %s\n", psQuote(c.key()+" "+n), psQuote(c.flags[i].hint()))
				}
			}
		}
		flags.WriteString(" $t }\n")
	})
	return fmt.Sprintf(powershellHead, commands.String(), flags.String(), caseSensitive(values.String()))
}

// caseSensitive drops entries whose key differs from an earlier one in case only, because a literal table of PowerShell
// cannot hold both; their values are completed as those of the earlier one.
func caseSensitive(lines string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(lines) {
		key, _, _ := strings.Cut(line, " = ")
		if key = strings.ToLower(key); !seen[key] {
			seen[key] = true
			b.WriteString(line)
		}
	}
	return b.String()
}

// psQuote writes s as one literal string of PowerShell.
func psQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
