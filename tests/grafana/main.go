// Checks a Grafana dashboard, and prints its queries as rules, so that promtool can parse them.
//
//	dashboard DASHBOARD RULES METRICS...
//
// The dashboard must be what Grafana's own library reads, with no field that it does not know. Each metric of usher's that the
// dashboard or the rules ask for must be in one of the files with metrics, which the programs have written.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

var (
	// What a program says that it has, and what somebody asks for.
	family = regexp.MustCompile(`(?m)^# TYPE (usher_\w+) (\w+)$`)
	asked  = regexp.MustCompile(`\busher_(?:agent|coordinator)_\w+`)
	// Grafana fills these in.
	variable = regexp.MustCompile(`\$__\w+`)
)

func main() {
	if len(os.Args) < 4 {
		fail(errors.New("usage: dashboard DASHBOARD RULES METRICS..."))
	}
	queries, err := queries(os.Args[1])
	if err != nil {
		fail(fmt.Errorf("%s: %w", os.Args[1], err))
	}
	if err := known(os.Args[1:3], os.Args[3:]); err != nil {
		fail(err)
	}
	fmt.Println("groups:\n  - name: dashboard\n    rules:")
	for number, query := range queries {
		query = variable.ReplaceAllString(query, "5m")
		fmt.Printf("      - record: dashboard:query%d\n        expr: %q\n", number, query)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "dashboard:", err)
	os.Exit(1)
}

// queries reads the dashboard and returns the queries of its panels.
func queries(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// Which fields a panel or a query may have depends on its plugin.
	plugins.RegisterDefaultPlugins()
	if err := complaint(new(dashboard.Dashboard).UnmarshalJSONStrict(text)); err != nil {
		return nil, err
	}
	// Once more: what was read strictly has no panels in it.
	var board dashboard.Dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		return nil, err
	}
	if err := complaint(board.Validate()); err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range board.Panels {
		if entry.Panel == nil {
			continue
		}
		for _, target := range entry.Panel.Targets {
			query, ok := target.(prometheus.Dataquery)
			if pointer, is := target.(*prometheus.Dataquery); is {
				query, ok = *pointer, true
			}
			if !ok {
				return nil, fmt.Errorf("a query is no query of Prometheus: %T", target)
			}
			found = append(found, query.Expr)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no panel has a query")
	}
	return found, nil
}

// complaint is err, unless it is a list of no errors, which the library returns where all is well.
func complaint(err error) error {
	var list cog.BuildErrors
	if errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}

// known says which metrics the files in asking ask for that none of the files with metrics has.
func known(asking, metrics []string) error {
	var names []string
	for _, path := range metrics {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range family.FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1])
			if match[2] == "histogram" {
				names = append(names, match[1]+"_bucket", match[1]+"_sum", match[1]+"_count")
			}
		}
	}
	var unknown []string
	for _, path := range asking {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range asked.FindAllString(string(text), -1) {
			if !slices.Contains(names, name) {
				unknown = append(unknown, path+": "+name)
			}
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("no program has these metrics:\n  %s", strings.Join(unknown, "\n  "))
	}
	return nil
}
