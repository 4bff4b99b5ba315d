package main

import (
	"fmt"
	"net/netip"
	"strings"

	"gopura/exchange"
	"gopura/trial"
)

// parseRequest makes the request of the arguments [METHOD] URL.
func parseRequest(args, headers []string, client string) (*exchange.Exchange, error) {
	method, target := "GET", args[len(args)-1]
	if len(args) == 2 {
		method = args[0]
	}
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return nil, fmt.Errorf("--client: %q is no IP address", client)
	}
	x, err := trial.NewRequest(method, target, addr)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("--header: %q is not of the form 'Name: value'", h)
		}
		if err := trial.SetHeader(x, name, value); err != nil {
			return nil, fmt.Errorf("--header: %w", err)
		}
	}
	return x, nil
}
