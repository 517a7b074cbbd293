//go:build !linux

package stack

import (
	"context"
	"errors"
)

var errNoRealNodes = errors.New("real nodes need Linux; simulated ones work everywhere")

func prepareRealNodes(context.Context, Options, string, string) (realParts, error) {
	return realParts{}, errNoRealNodes
}

func (s *Stack) claimMachine(context.Context, Options, *plan, realParts) error { return errNoRealNodes }

func (s *Stack) startRealNodes(context.Context, *plan) error { return errNoRealNodes }
