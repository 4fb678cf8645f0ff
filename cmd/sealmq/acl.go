package main

type aclCommand struct {
	Test aclTestCommand `cmd:"" help:"Compare the rules of a configuration with a table of expectations."`
	Lint aclLintCommand `cmd:"" help:"Find rules that never decide, or that are wider than they look."`
}

// Example is the first line of the command's help.
func (*aclCommand) Example() string { return "sealmq acl test expectations.yaml --config sealmq.yaml" }
