package doctor

import (
	"fmt"
	"strings"
	"time"
)

// earliest is before the first release: a clock that shows less was never set.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func clockWrong(m *Model, s *sheet) {
	if m.Now.Before(earliest) {
		s.atLeast(High)
		s.add(Place{}, "the clock shows "+m.Now.UTC().Format(time.RFC3339), "set it, and keep it right with an NTP service")
		return
	}
	if m.Process != nil && m.Process.ClockUnsynced {
		s.add(Place{}, "the system says that its clock is not synchronised", "run an NTP service; timedatectl shows its state")
	}
}

func runsAsRoot(m *Model, s *sheet) {
	if p := m.Process; p != nil && p.Root {
		found := "user is root"
		if p.PID != 0 {
			found = fmt.Sprintf("process %d runs as root", p.PID)
		}
		s.add(p.RootPlace, found, m.say(
			"run it as a user of its own: packaging/sealmq.service does", "write: user mosquitto", "",
		))
	}
}

func sandboxOff(m *Model, s *sheet) {
	p := m.Process
	if p == nil || p.PID == 0 {
		return
	}
	var lacks []string
	if !p.Seccomp {
		lacks = append(lacks, "no filter of system calls")
	}
	if !p.NoNewPrivs {
		lacks = append(lacks, "it may gain privileges")
	}
	if p.Capabilities {
		lacks = append(lacks, "it has capabilities")
	}
	if len(lacks) > 0 {
		s.add(Place{}, fmt.Sprintf("process %d: %s", p.PID, strings.Join(lacks, ", ")), "run it by packaging/sealmq.service, or in a container with --cap-drop=all --security-opt=no-new-privileges")
	}
}

// spareFiles is what a broker opens besides connections.
const spareFiles = 200

func fdLimit(m *Model, s *sheet) {
	if p := m.Process; p != nil && p.OpenFiles > 0 && p.OpenFiles < p.Clients+spareFiles {
		s.add(Place{}, fmt.Sprintf("process %d may open %d files, and limits.clients allows %d connections", p.PID, p.OpenFiles, p.Clients),
			fmt.Sprintf("raise it (LimitNOFILE= of the unit, or ulimit -n %d), or lower limits.clients", p.Clients+spareFiles))
	}
}

func secretVisible(m *Model, s *sheet) {
	p := m.Process
	if p == nil {
		return
	}
	for _, name := range p.SecretsInEnv {
		s.add(Place{}, "the environment of process "+fmt.Sprint(p.PID)+" holds "+name, "hand secrets over in files: LoadCredential= of the unit, or a mounted folder")
	}
	for _, flag := range p.SecretsInArgs {
		s.add(Place{}, "the process list shows the value of "+flag, "use its form that reads a file")
	}
}

func notReady(m *Model, s *sheet) {
	if p := m.Process; p != nil && p.NotReady != "" {
		s.add(Place{}, "the broker says that it is not ready: "+p.NotReady, "do what the reason asks for; the log has more")
	}
}
