package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// dashboardFile is where the dashboard lies, from the root of the module.
const dashboardFile = "packaging/monitoring/gopura-dashboard.json"

func main() {
	text, err := dashboard()
	if err == nil {
		err = os.WriteFile(filepath.FromSlash(dashboardFile), text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(1)
	}
}

// object is a value of Grafana's model.
type object map[string]any

// Three panels stand beside each other; the grid has 24 columns.
const (
	perRow = 3
	width  = 24 / perRow
	height = 8
)

// dashboard writes the dashboard as Grafana imports it.
func dashboard() ([]byte, error) {
	var panels []object
	id, y := 1, 0
	for _, r := range rows {
		panels = append(panels, object{"id": id, "type": "row", "title": r.title, "collapsed": false, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": 24, "h": 1}})
		id, y = id+1, y+1
		for i, p := range r.panels {
			panels = append(panels, p.object(id, i%perRow*width, y+i/perRow*height))
			id++
		}
		y += (len(r.panels) + perRow - 1) / perRow * height
	}
	d := object{
		"title": "Gopura", "uid": "gopura", "tags": []string{"gopura", "gateway"}, "timezone": "browser", "schemaVersion": 39, "version": 1,
		"editable": true, "graphTooltip": 1, "refresh": "30s", "time": object{"from": "now-3h", "to": "now"},
		"templating": object{"list": []object{
			{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
			variable("job", "Job", `label_values(gopura_build_info, job)`),
			variable("instance", "Gateway", `label_values(gopura_build_info{job=~"$job"}, instance)`),
			variable("route", "Route", `label_values(gopura_requests_total{job=~"$job"}, route)`),
			variable("service", "Service", `label_values(gopura_upstream_healthy{job=~"$job"}, service)`),
		}},
		"annotations": object{"list": []object{{
			"name": "Configurations", "enable": true, "iconColor": "blue", "datasource": source,
			"expr": `changes(gopura_config_generation{` + of + `}[1m]) > 0`, "titleFormat": "new configuration", "step": "60s",
		}}},
		"panels": panels,
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

var source = object{"type": "prometheus", "uid": "${source}"}

func variable(name, label, ask string) object {
	return object{"name": name, "label": label, "type": "query", "datasource": source, "definition": ask,
		"query": object{"query": ask, "refId": name}, "refresh": 2, "includeAll": true, "multi": true, "allValue": ".*",
		"current": object{"text": "All", "value": "$__all"}, "sort": 1}
}

func (p *panel) object(id, x, y int) object {
	targets := make([]object, len(p.queries))
	for i, q := range p.queries {
		targets[i] = object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.expr, "legendFormat": q.legend, "range": true}
	}
	custom := object{"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}
	if p.stack {
		custom["stacking"], custom["fillOpacity"] = object{"mode": "normal"}, 30
	}
	return object{"id": id, "type": "timeseries", "title": p.title, "description": p.text, "datasource": source, "targets": targets,
		"gridPos":     object{"x": x, "y": y, "w": width, "h": height},
		"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0, "custom": custom}, "overrides": []object{}},
		"options":     object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi", "sort": "desc"}}}
}
