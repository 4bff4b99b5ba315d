package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gopura/identity"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make API keys and hash them",
		Long: `Key makes API keys for sources of identity of kind api_key. The gateway is given
hashes only: a key is shown once, to be handed to its owner, and is nowhere else.

The hashes are in a file, for which new makes the line, or in the store that
replicas share (identity.NAME.api_key.store), where add, list and revoke work.

With --pepper-env the hash needs a secret as well (identity.NAME.api_key.pepper):
who gets hold of the file of hashes can then not even check a key.`,
		Example: `  gopura key new --owner acme
  gopura key hash < key.txt
  gopura key add partners --owner acme
  gopura key revoke partners --owner acme --id 2026-q4`,
	}
	cmd.AddCommand(newKeyNew(), newKeyHash(), newKeyAdd(), newKeyList(), newKeyRevoke())
	return cmd
}

func newKeyNew() *cobra.Command {
	var owner, pepperEnv string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a random key, print it once, and its entry for the file",
		Example: `  gopura key new --owner acme
  gopura key new --owner acme --expires 90d --pepper-env KEY_PEPPER`,
		Args: cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			pepper, err := pepperOf(pepperEnv)
			if err != nil {
				return err
			}
			key, out := identity.NewAPIKey(), cmd.OutOrStdout()
			fmt.Fprintf(out, "key: %s\n\n# for the file of the source; the key itself is shown only here\n", key)
			fmt.Fprintf(out, "owners:\n  %q:\n    keys:\n      - hash: %q\n", owner, identity.HashAPIKey(key, pepper))
			if lifetime > 0 {
				fmt.Fprintf(out, "        expires: %s\n", time.Now().Add(lifetime).UTC().Format(time.RFC3339))
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&owner, "owner", "client", "whose key it is")
	spanFlag(cmd, &lifetime, "expires", 0, "how long the key is good; 0: until it is taken out of the file")
	cmd.Flags().StringVar(&pepperEnv, "pepper-env", "", "the environment variable with the pepper")
	return cmd
}

func newKeyHash() *cobra.Command {
	var pepperEnv string
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Print the hash of a key that is read from standard input",
		Long: `Hash reads a key from standard input, one line, and prints its hash. It is for keys
that exist already; such a key should be long and random, at least 128 bits of it.
Keys are never taken from the command line, where others could read them.`,
		Example: `  gopura key hash < key.txt`,
		Args:    cobra.NoArgs,
		RunE: act(func(cmd *cobra.Command, _ []string) error {
			pepper, err := pepperOf(pepperEnv)
			if err != nil {
				return err
			}
			line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 4096)).ReadString('\n')
			if err != nil && err != io.EOF {
				return err
			}
			key := strings.TrimRight(line, "\r\n")
			switch {
			case key == "":
				return errors.New("no key on standard input")
			case len(key) < 20:
				return fmt.Errorf("a key of %d characters can be guessed: use 'gopura key new', or at least 20 random ones", len(key))
			case len(key) > 512:
				return errors.New("a key has at most 512 characters")
			}
			fmt.Fprintln(cmd.OutOrStdout(), identity.HashAPIKey(key, pepper))
			return nil
		}),
	}
	cmd.Flags().StringVar(&pepperEnv, "pepper-env", "", "the environment variable with the pepper")
	return cmd
}

func pepperOf(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	pepper := os.Getenv(name)
	if len(pepper) < 16 {
		return "", fmt.Errorf("the environment variable %s has no pepper of at least 16 characters", name)
	}
	return pepper, nil
}
