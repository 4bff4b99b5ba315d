package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gopura/config"
	"gopura/gateway"
	"gopura/identity"
	"gopura/store"
)

// keyStoreTimeout bounds what a command waits for the store.
const keyStoreTimeout = 10 * time.Second

// keySet is the keys in the store that a source of identity accepts.
type keySet struct {
	values store.Values
	name   string
	pepper string
}

// withKeySet opens the keys of a source of identity by a configuration.
func withKeySet(path, source string, f func(ctx context.Context, s keySet) error) error {
	doc, err := loader(path)()
	if err != nil {
		return err
	}
	spec, err := apiKeySource(doc, source)
	if err != nil {
		return err
	}
	values, hangUp, err := gateway.OpenValues(doc)
	if err != nil {
		return err
	}
	defer hangUp()
	ctx, cancel := context.WithTimeout(context.Background(), keyStoreTimeout)
	defer cancel()
	if err := f(ctx, keySet{values, spec.Store.Name, spec.Pepper.Reveal()}); err != nil {
		return fmt.Errorf("the keys of identity %q: %w", source, err)
	}
	return nil
}

func apiKeySource(doc *config.Document, name string) (*identity.APIKey, error) {
	var names []string
	for _, b := range doc.Identities {
		spec, ok := b.Spec.(*identity.APIKey)
		if !ok || spec.Store == nil {
			continue
		}
		if b.Name == name {
			return spec, nil
		}
		names = append(names, b.Name)
	}
	if len(names) == 0 {
		return nil, errors.New("the configuration has no source of identity of kind api_key whose keys are in the store")
	}
	return nil, fmt.Errorf("there is no source of identity %q whose keys are in the store; there are %q", name, names)
}

func newKeyAdd() *cobra.Command {
	var path, id, claims, hash string
	k := identity.StoredKey{}
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "add SOURCE",
		Short: "Make a random key, print it once, and put its hash into the store",
		Long: `Add puts a key into the store for a source of identity whose keys are there
(identity.SOURCE.api_key.store). The configuration says where the store is, and
the pepper. All replicas accept the key at once, unless somebody tried it before
(negative_cache).`,
		Example: `  gopura key add partners --owner acme --id 2027-q1 --expires 90d
  gopura key add partners --owner acme --claims '{"plan":"gold"}'
  gopura key add partners --owner acme --hash "$(gopura key hash < key.txt)"`,
		Args: cobra.ExactArgs(1),
		RunE: act(func(cmd *cobra.Command, args []string) error {
			if claims != "" && json.Unmarshal([]byte(claims), &k.Claims) != nil {
				return errors.New("--claims is a JSON object")
			}
			k.ID, k.Created = id, time.Now().UTC().Truncate(time.Second)
			if life > 0 {
				k.Expires = k.Created.Add(life)
			}
			return withKeySet(path, args[0], func(ctx context.Context, s keySet) error {
				key := ""
				if k.Hash = hash; hash == "" {
					key = identity.NewAPIKey()
					k.Hash = identity.HashAPIKey(key, s.pepper)
				}
				if err := identity.AddKey(ctx, s.values, s.name, k); err != nil {
					return err
				}
				if key != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "key: %s\n", key)
				}
				fmt.Fprint(cmd.ErrOrStderr(), "added; the store has its hash only\n")
				return nil
			})
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&k.Owner, "owner", "", "whose key it is")
	cmd.MarkFlagRequired("owner")
	cmd.Flags().StringVar(&id, "id", "", "a name for the key: the claim key_id, and what to revoke it by")
	cmd.Flags().StringVar(&claims, "claims", "", "what is known of the owner, as a JSON object")
	spanFlag(cmd, &life, "expires", 0, "how long the key is good; 0: until it is revoked")
	cmd.Flags().StringVar(&hash, "hash", "", "add this hash in place of that of a new key")
	return cmd
}

func newKeyList() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list SOURCE",
		Short:   "List the keys in the store: owners and hashes",
		Example: `  gopura key list partners`,
		Args:    cobra.ExactArgs(1),
		RunE: act(func(cmd *cobra.Command, args []string) error {
			return withKeySet(path, args[0], func(ctx context.Context, s keySet) error {
				list, err := identity.ListKeys(ctx, s.values, s.name)
				if err != nil {
					return err
				}
				return printKeys(cmd.OutOrStdout(), list, asJSON)
			})
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newKeyRevoke() *cobra.Command {
	var path, owner, id, hash string
	cmd := &cobra.Command{
		Use:   "revoke SOURCE",
		Short: "Take keys out of the store",
		Long: `Revoke takes the keys out of the store that all given flags fit. Replicas refuse
them when they have forgotten what they know of them: after cache (10s by
default), or, while the store can't be asked, after stale (1h).`,
		Example: `  gopura key revoke partners --owner acme --id 2026-q4
  gopura key revoke partners --owner acme`,
		Args: cobra.ExactArgs(1),
		RunE: act(func(cmd *cobra.Command, args []string) error {
			if owner == "" && id == "" && hash == "" {
				return errors.New("which keys? say --owner, --id or --hash")
			}
			return withKeySet(path, args[0], func(ctx context.Context, s keySet) error {
				revoked, err := identity.RevokeKeys(ctx, s.values, s.name, func(k identity.StoredKey) bool {
					return (owner == "" || k.Owner == owner) && (id == "" || k.ID == id) && (hash == "" || k.Hash == hash)
				})
				if err != nil {
					return err
				}
				if len(revoked) == 0 {
					return errors.New("no such key")
				}
				return printKeys(cmd.OutOrStdout(), revoked, false)
			})
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&owner, "owner", "", "keys of this owner")
	cmd.Flags().StringVar(&id, "id", "", "keys of this id")
	cmd.Flags().StringVar(&hash, "hash", "", "the key with this hash")
	return cmd
}

// listedKey is a key as it is printed as JSON.
type listedKey struct {
	Hash string `json:"hash"`
	identity.StoredKey
}

func printKeys(w io.Writer, list []identity.StoredKey, asJSON bool) error {
	if asJSON {
		all := make([]listedKey, 0, len(list))
		for _, k := range list {
			all = append(all, listedKey{k.Hash, k})
		}
		return printJSON(w, all)
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "no keys")
		return nil
	}
	date := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format(time.RFC3339)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OWNER\tID\tCREATED\tEXPIRES\tHASH")
	for _, k := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", printed(k.Owner), or(printed(k.ID), "-"), date(k.Created), date(k.Expires), k.Hash)
	}
	return t.Flush()
}

// printed is a text of the store's as a terminal may have it.
func printed(s string) string {
	q := fmt.Sprintf("%q", s)
	if q == `"`+s+`"` {
		return s
	}
	return q
}
