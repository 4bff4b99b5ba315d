package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// valueCalls is how many calls for values are under way at most: so few that
// limits, which share the connections, never wait for them.
const valueCalls = 4

// redisValues are Values in Redis, over the connections of its store.
type redisValues struct {
	link   *link
	prefix string
	calls  chan struct{}
}

// Values returns the values that are kept beside the limits. While the breaker
// is open every call fails at once.
func (s *Redis) Values() Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = &redisValues{s.link, s.options.Prefix + ":", make(chan struct{}, valueCalls)}
	}
	return s.values
}

// do makes one call. What Redis answers with is no failure of the connection,
// nor is a caller that went away.
func (v *redisValues) do(ctx context.Context, build func(c rueidis.Client) rueidis.Completed) (r rueidis.RedisMessage, found bool, err error) {
	if v.link.open() {
		return r, false, errOpen
	}
	select {
	case v.calls <- struct{}{}:
		defer func() { <-v.calls }()
	case <-ctx.Done():
		return r, false, ctx.Err()
	case <-v.link.stopped.Done():
		return r, false, errCancelled
	}
	client := v.link.client.Load()
	if client == nil {
		return r, false, errNoClient
	}
	defer func() {
		if p := recover(); p != nil { // a client that met bytes which are not Redis'
			err = fmt.Errorf("%w: %v", errGarbage, p)
			v.link.note(err)
		}
	}()
	r, err = (*client).Do(ctx, build(*client)).ToMessage()
	_, refused := rueidis.IsRedisErr(err)
	switch {
	case err == nil || rueidis.IsRedisNil(err):
		v.link.note(nil)
		return r, err == nil, nil
	case refused, errors.Is(err, context.Canceled):
		return r, false, err
	}
	v.link.note(err)
	return r, false, err
}

func millis(life time.Duration) string { return strconv.FormatInt(max(life.Milliseconds(), 1), 10) }

// Get implements Values.
func (v *redisValues) Get(ctx context.Context, key string) ([]byte, bool, error) {
	r, found, err := v.do(ctx, func(c rueidis.Client) rueidis.Completed { return c.B().Get().Key(v.prefix + key).Build() })
	if err != nil || !found {
		return nil, false, err
	}
	value, err := r.AsBytes()
	return value, err == nil, err
}

// Set implements Values.
func (v *redisValues) Set(ctx context.Context, key string, value []byte, life time.Duration) error {
	_, err := v.set(ctx, key, value, life)
	return err
}

// Add implements Values.
func (v *redisValues) Add(ctx context.Context, key string, value []byte, life time.Duration) (bool, error) {
	return v.set(ctx, key, value, life, "NX")
}

func (v *redisValues) set(ctx context.Context, key string, value []byte, life time.Duration, more ...string) (bool, error) {
	if err := checkValue(key, value); err != nil {
		return false, err
	}
	if life > 0 {
		more = append(more, "PX", millis(life))
	}
	_, done, err := v.do(ctx, func(c rueidis.Client) rueidis.Completed {
		return c.B().Arbitrary("SET").Keys(v.prefix + key).Args(string(value)).Args(more...).Build()
	})
	return done, err
}

// Delete implements Values.
func (v *redisValues) Delete(ctx context.Context, key string) (bool, error) {
	r, _, err := v.do(ctx, func(c rueidis.Client) rueidis.Completed { return c.B().Del().Key(v.prefix + key).Build() })
	if err != nil {
		return false, err
	}
	n, err := r.AsInt64()
	return n > 0, err
}

const scanStep = "500"

// Keys implements Values. In a cluster every node is looked through.
func (v *redisValues) Keys(ctx context.Context, prefix string) (keys []string, err error) {
	client := v.link.client.Load()
	if client == nil {
		return nil, errNoClient
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errGarbage, p)
		}
	}()
	for _, node := range (*client).Nodes() {
		for cursor := "0"; ; {
			scan := node.B().Arbitrary("SCAN", cursor, "MATCH", globLiteral(v.prefix+prefix)+"*", "COUNT", scanStep).Build()
			parts, err := node.Do(ctx, scan).ToArray()
			if err != nil {
				return nil, err
			}
			if len(parts) != 2 {
				return nil, errGarbage
			}
			list, err := parts[1].AsStrSlice()
			if err != nil {
				return nil, err
			}
			for _, key := range list {
				keys = append(keys, strings.TrimPrefix(key, v.prefix))
			}
			if cursor, err = parts[0].ToString(); err != nil {
				return nil, err
			}
			if cursor == "0" {
				break
			}
		}
	}
	slices.Sort(keys) // a key may come several times, from a replica for one
	return slices.Compact(keys), nil
}

// globLiteral is a pattern that stands for a text itself.
func globLiteral(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(text)
}

// Lock implements Values.
func (v *redisValues) Lock(ctx context.Context, name string) (func(), error) {
	return lock(ctx, v, name)
}

// Only who holds a lock may keep it or give it back: what is asked and what is
// done are one step.
const (
	extendScript  = `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end return 0`
	releaseScript = `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`
)

func (v *redisValues) eval(ctx context.Context, script, key string, args ...string) (int64, error) {
	r, _, err := v.do(ctx, func(c rueidis.Client) rueidis.Completed {
		return c.B().Arbitrary("EVAL", script, "1").Keys(v.prefix + key).Args(args...).Build()
	})
	if err != nil {
		return 0, err
	}
	return r.AsInt64()
}

func (v *redisValues) extend(ctx context.Context, key string, token []byte, life time.Duration) (bool, error) {
	n, err := v.eval(ctx, extendScript, key, string(token), millis(life))
	return n == 1, err
}

func (v *redisValues) release(ctx context.Context, key string, token []byte) error {
	_, err := v.eval(ctx, releaseScript, key, string(token))
	return err
}
