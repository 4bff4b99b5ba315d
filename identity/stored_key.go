package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// StoredKey is an API key as the store has it: what is known of it, under its
// hash. The key itself is nowhere.
type StoredKey struct {
	Hash    string         `json:"-"`
	Owner   string         `json:"owner"`
	ID      string         `json:"id,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	Created time.Time      `json:"created,omitzero"`
	Expires time.Time      `json:"expires,omitzero"`
}

// KeyValues is what changing the keys in a store needs of it.
type KeyValues interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Add(ctx context.Context, key string, value []byte, life time.Duration) (added bool, err error)
	Delete(ctx context.Context, key string) (deleted bool, err error)
	Keys(ctx context.Context, prefix string) ([]string, error)
}

const keysPrefix = "api_key:"

// keyAt is where the store has the key of a hash.
func keyAt(set, hash string) string { return keysPrefix + set + ":" + hash }

var keySetPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func checkKeySet(name string) error {
	if !keySetPattern.MatchString(name) {
		return errors.New("the name of a set of keys has letters, digits, _, - and . only, at most 64")
	}
	return nil
}

// maxStoredKey bounds the entry of a key.
const maxStoredKey = 16 << 10

// parseStoredKey reads an entry. Whoever wrote it, it is not followed blindly.
func parseStoredKey(text []byte) (k StoredKey, err error) {
	if len(text) > maxStoredKey {
		return k, errors.New("too long")
	}
	m, err := readObject(text, maxClaims)
	if err != nil {
		return k, err
	}
	k.Owner, k.ID = textClaim(m, "owner"), textClaim(m, "id")
	if k.Owner == "" {
		return k, errors.New("it has no owner")
	}
	if claims, there := m["claims"]; there {
		var ok bool
		if k.Claims, ok = claims.(map[string]any); !ok {
			return k, errors.New("its claims are no object")
		}
	}
	for name, at := range map[string]*time.Time{"created": &k.Created, "expires": &k.Expires} {
		v, there := m[name]
		if !there {
			continue
		}
		s, _ := v.(string)
		if *at, err = time.Parse(time.RFC3339, s); err != nil {
			return k, fmt.Errorf("%s is no time", name)
		}
	}
	return k, nil
}

// AddKey puts a key into a set, where its hash must not be yet, nor another key
// of its owner with its id: revoking by owner and id means one key. (Two who add
// the same at the same moment may both succeed.)
func AddKey(ctx context.Context, v KeyValues, set string, k StoredKey) error {
	if err := checkKeySet(set); err != nil {
		return err
	}
	if _, _, err := parseKeyHash(k.Hash); err != nil {
		return err
	}
	k.Hash = strings.ToLower(k.Hash)
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if _, err := parseStoredKey(text); err != nil {
		return fmt.Errorf("the entry of the key: %w", err)
	}
	life := time.Duration(0)
	if !k.Expires.IsZero() {
		if life = time.Until(k.Expires); life <= 0 {
			return errors.New("the key would have expired already")
		}
	}
	if k.ID != "" {
		list, err := ListKeys(ctx, v, set)
		if err != nil {
			return err
		}
		for _, other := range list {
			if other.Owner == k.Owner && other.ID == k.ID && other.Hash != k.Hash {
				return fmt.Errorf("%s has a key with the id %q already: revoke it first, or give this one another id", k.Owner, k.ID)
			}
		}
	}
	added, err := v.Add(ctx, keyAt(set, k.Hash), text, life)
	if err == nil && !added {
		err = errors.New("the key is there already")
	}
	return err
}

// ListKeys returns the keys of a set, by owner and age. Entries that can't be
// read are among them with an owner of "?".
func ListKeys(ctx context.Context, v KeyValues, set string) ([]StoredKey, error) {
	if err := checkKeySet(set); err != nil {
		return nil, err
	}
	names, err := v.Keys(ctx, keyAt(set, ""))
	if err != nil {
		return nil, err
	}
	var list []StoredKey
	for _, name := range names {
		text, found, err := v.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if !found {
			continue // it has just gone
		}
		k, err := parseStoredKey(text)
		if err != nil {
			k = StoredKey{Owner: "?"}
		}
		k.Hash = strings.TrimPrefix(name, keyAt(set, ""))
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b StoredKey) int {
		return cmp.Or(strings.Compare(a.Owner, b.Owner), a.Created.Compare(b.Created), strings.Compare(a.Hash, b.Hash))
	})
	return list, nil
}

// RevokeKeys takes the keys out of a set that choose picks, and returns them.
func RevokeKeys(ctx context.Context, v KeyValues, set string, choose func(StoredKey) bool) (revoked []StoredKey, err error) {
	list, err := ListKeys(ctx, v, set)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		if !choose(k) {
			continue
		}
		if _, err := v.Delete(ctx, keyAt(set, k.Hash)); err != nil {
			return revoked, err
		}
		revoked = append(revoked, k)
	}
	return revoked, nil
}
