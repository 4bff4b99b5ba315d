package store

import (
	"context"
	"errors"
	"time"
)

// Values keeps small values that replicas share: hashes of API keys,
// certificates, keys of session tickets. It is safe for concurrent use. Every
// call ends with its ctx; an error means that nobody can say, never that there
// is nothing.
type Values interface {
	// Get returns a value; found is false when there is none.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Set puts a value in place of whatever is there, for life; 0: until it is deleted.
	Set(ctx context.Context, key string, value []byte, life time.Duration) error
	// Add sets a value unless one is there, and reports whether it did.
	Add(ctx context.Context, key string, value []byte, life time.Duration) (added bool, err error)
	// Delete deletes a value and reports whether there was one.
	Delete(ctx context.Context, key string) (deleted bool, err error)
	// Keys returns the keys that begin with prefix, in no order. It looks through
	// the whole store: for operators and background work, not for requests.
	Keys(ctx context.Context, prefix string) ([]string, error)
	// Lock waits until nobody else holds the lock of that name. It is kept until
	// unlock is called; when this process dies, it is free after LockLife. A
	// replica that can't reach the store for so long loses the lock without being
	// told, so what it guards must bear to be done twice.
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

const (
	// MaxValue bounds a value; what is larger does not belong here.
	MaxValue = 512 << 10
	// MaxValueKey bounds a key.
	MaxValueKey = 1 << 10
)

var (
	errValueSize = errors.New("the value is larger than 512 KiB")
	errValueKey  = errors.New("the key is empty or longer than 1 KiB")
)

func checkValue(key string, value []byte) error {
	switch {
	case key == "" || len(key) > MaxValueKey:
		return errValueKey
	case len(value) > MaxValue:
		return errValueSize
	}
	return nil
}
