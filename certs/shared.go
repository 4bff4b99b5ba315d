package certs

import (
	"context"
	"errors"
	"time"
)

// Values is what this package needs of a store that replicas share. What it
// puts there are private keys: whoever gives it the store encrypts them.
type Values interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, life time.Duration) error
	Add(ctx context.Context, key string, value []byte, life time.Duration) (added bool, err error)
	Delete(ctx context.Context, key string) (deleted bool, err error)
	Keys(ctx context.Context, prefix string) ([]string, error)
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

// Shared is a store, and what has to stay equal for it to be the same one.
type Shared struct {
	Values Values
	Key    string
}

// inStore is the word for the store in place of a folder.
const inStore = "store"

var errNoStore = errors.New("needs the top-level store, with a secret")
