package store

import (
	"context"
	"crypto/rand"
	mrand "math/rand/v2"
	"sync"
	"time"
)

const (
	// LockLife is how long a lock outlives the process that holds it.
	LockLife = 30 * time.Second

	lockRenew = LockLife / 3
	lockPoll  = 250 * time.Millisecond
	lockCall  = 2 * time.Second // a call in the background
)

// locker is what a lock is made of: a value that only who knows its token may
// keep or take away.
type locker interface {
	Add(ctx context.Context, key string, value []byte, life time.Duration) (bool, error)
	extend(ctx context.Context, key string, token []byte, life time.Duration) (bool, error)
	release(ctx context.Context, key string, token []byte) error
}

// lock waits for the lock and keeps it alive until it is unlocked.
func lock(ctx context.Context, l locker, name string) (unlock func(), err error) {
	key, token := "lock:"+name, []byte(rand.Text())
	for {
		added, err := l.Add(ctx, key, token, LockLife)
		if err != nil {
			return nil, err
		}
		if added {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll/2 + mrand.N(lockPoll)):
		}
	}
	stop := make(chan struct{})
	var kept sync.WaitGroup
	kept.Go(func() { keepLock(l, key, token, stop) })
	return sync.OnceFunc(func() {
		close(stop)
		kept.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), lockCall)
		defer cancel()
		l.release(ctx, key, token) // else its life ends it
	}), nil
}

func keepLock(l locker, key string, token []byte, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(lockRenew):
		}
		ctx, cancel := context.WithTimeout(context.Background(), lockCall)
		held, err := l.extend(ctx, key, token, LockLife)
		cancel()
		if err == nil && !held {
			return // it ran out, and may be somebody else's
		}
	}
}
