package main

import (
	"context"
	"strings"

	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/doctor/gather"
)

// gatherURL looks at a broker from outside.
func (c *doctorCommand) gatherURL(ctx context.Context, a *app) (*doctor.Model, error) {
	p := probeCommand{Target: c.Target}
	r, err := p.look(ctx, a)
	if err != nil {
		return nil, err
	}
	reached := false
	var why []string
	for i := range r.Endpoints {
		reached = reached || r.Endpoints[i].Reachable
		why = append(why, r.Endpoints[i].URL+": "+r.Endpoints[i].Error)
	}
	if !reached {
		return nil, &failure{exitConnect, "no broker answers at " + c.Target, strings.Join(why, "; "), "check the name and the port", nil}
	}
	return gather.Observed(r), nil
}
