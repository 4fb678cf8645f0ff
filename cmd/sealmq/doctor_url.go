package main

import (
	"context"
	"errors"

	"github.com/sealmq/sealmq/internal/doctor"
)

func (c *doctorCommand) gatherURL(context.Context, *app) (*doctor.Model, error) {
	return nil, errors.New("later")
}
