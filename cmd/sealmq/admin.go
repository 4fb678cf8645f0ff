package main

type adminCommand struct {
	Sessions sessionsCommand      `cmd:"" help:"List sessions."`
	Kick     kickCommand          `cmd:"" help:"Disconnect a client; its session stays."`
	Clear    clearCommand         `cmd:"" help:"End a session with all its state."`
	Retained retainedAdminCommand `cmd:"" help:"List or remove retained messages."`
}

// Example is the first line of the command's help.
func (*adminCommand) Example() string { return "sealmq admin sessions --data sealmq-data" }
