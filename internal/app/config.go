package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"weir/internal/gateway"
	"weir/internal/merge"
	"weir/internal/query"
	"weir/internal/retention"
	"weir/internal/sample"
	"weir/internal/sql"
	"weir/internal/warehouse/duckdb"
	"weir/internal/worker"
	"weir/internal/worker/autoscale"
)

// Config is the whole configuration of a process.
type Config struct {
	Data       string           `yaml:"data" doc:"folder that holds all data"`
	HTTP       HTTPConfig       `yaml:"http"`
	Fast       []string         `yaml:"fast" doc:"selectors of series whose samples are flushed every worker.fast_age, in items and commits of their own: see weir_flush_bytes_total for what that costs"`
	Partitions int              `yaml:"partitions" doc:"K: partitions of weeks made from now on, and queues; a week keeps the number it was made with"`
	Buffer     BufferConfig     `yaml:"buffer"`
	Store      StoreConfig      `yaml:"store"`
	Gateway    gateway.Config   `yaml:"gateway"`
	Worker     worker.Config    `yaml:"worker"`
	Workers    autoscale.Config `yaml:"workers"`
	Merge      merge.Config     `yaml:"merge"`
	Query      QueryConfig      `yaml:"query"`
	Warehouse  WarehouseConfig  `yaml:"warehouse"`
	Pipelines  PipelinesConfig  `yaml:"pipelines"`
	Retention  retention.Config `yaml:"retention"`
	Log        LogConfig        `yaml:"log"`
}

// HTTPConfig is where the process listens.
type HTTPConfig struct {
	Address string `yaml:"address" doc:"where HTTP is served; loopback unless you mean otherwise"`
	Admin   string `yaml:"admin" doc:"where profiles are served (/debug/pprof); empty: nowhere"`
}

// BufferConfig is the embedded buffer.
type BufferConfig struct {
	MaxBytes   int64         `yaml:"max_bytes" doc:"how much each queue holds at most; then requests are answered 503"`
	Visibility time.Duration `yaml:"visibility" doc:"how long a message is hidden once it is delivered"`
}

// StoreConfig is the embedded store.
type StoreConfig struct {
	CacheBytes int64 `yaml:"cache_bytes" doc:"memory for items read before"`
	OpenTables int   `yaml:"open_tables" doc:"how many week folders are kept open, at about 1 MB each; a query over more of them opens them anew"`
}

// QueryConfig is what a query may cost.
type QueryConfig struct {
	query.Limits `yaml:",inline"`
	Timeout      time.Duration `yaml:"timeout" doc:"how long a query may take"`
}

// WarehouseConfig is the embedded warehouse, and what statements may cost.
type WarehouseConfig struct {
	Memory     int64 `yaml:"memory" doc:"bytes that the warehouse may hold in memory; beyond them it works on disk"`
	Threads    int   `yaml:"threads" doc:"how many threads a load or a statement may use"`
	Temporary  int64 `yaml:"temporary" doc:"bytes on disk that loads and statements may use beyond the memory"`
	sql.Config `yaml:",inline"`
}

// driver gives the driver's config.
func (c WarehouseConfig) driver(data string) duckdb.Config {
	return duckdb.Config{Dir: filepath.Join(data, "warehouse"), Memory: c.Memory, Threads: c.Threads, Temporary: c.Temporary}
}

// LogConfig is how the process logs, to standard error.
type LogConfig struct {
	Level string `yaml:"level" doc:"debug, info, warn or error"`
	JSON  bool   `yaml:"json" doc:"one JSON object a line instead of text"`
}

// Default gives the embedded profile on one machine.
func Default() Config {
	return Config{
		Data:       "weir-data",
		HTTP:       HTTPConfig{Address: "127.0.0.1:8480"},
		Partitions: min(runtime.GOMAXPROCS(0), 4),
		Buffer:     BufferConfig{MaxBytes: 4 << 30, Visibility: time.Minute},
		Store:      StoreConfig{CacheBytes: 32 << 20, OpenTables: 32},
		Gateway:    gateway.Default(),
		Worker:     worker.Default(),
		Merge:      merge.Default(),
		Workers:    autoscale.Default(),
		Query:      QueryConfig{Limits: query.DefaultLimits(), Timeout: time.Minute},
		Warehouse:  defaultWarehouse(),
		Pipelines:  defaultPipelines(),
		Retention:  retention.Default(),
		Log:        LogConfig{Level: "info"},
	}
}

func defaultWarehouse() WarehouseConfig {
	d := duckdb.Default()
	return WarehouseConfig{Memory: d.Memory, Threads: d.Threads, Temporary: d.Temporary, Config: sql.Default()}
}

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Data == "":
		return errors.New("data: name the folder that holds all data")
	case c.HTTP.Address == "":
		return errors.New("http.address: name where to listen, such as 127.0.0.1:8480")
	case c.Partitions < 1 || c.Partitions > sample.Shards:
		return fmt.Errorf("partitions: want 1 to %d", sample.Shards)
	case c.Buffer.MaxBytes < 2<<20:
		return errors.New("buffer.max_bytes: want at least 2097152 (2 MiB)")
	case c.Buffer.Visibility < time.Second:
		return errors.New("buffer.visibility: want at least 1s")
	case c.Store.CacheBytes < 0:
		return errors.New("store.cache_bytes: want at least 0")
	case c.Store.OpenTables < 1:
		return errors.New("store.open_tables: want at least 1")
	case c.Worker.ExtendAfter >= c.Buffer.Visibility:
		return errors.New("worker.extend_after: want less than buffer.visibility, or messages in the head are delivered again")
	case c.Query.Timeout <= 0:
		return errors.New("query.timeout: want more than 0")
	}
	if _, err := logLevel(c.Log.Level); err != nil {
		return err
	}
	if _, err := c.fastSeries(); err != nil {
		return err
	}
	for _, part := range []interface{ Validate() error }{c.Gateway, c.Worker, c.Workers, c.Merge} {
		if err := part.Validate(); err != nil {
			return err
		}
	}
	if err := c.Query.Limits.Validate(); err != nil {
		return fmt.Errorf("query.%w", err)
	}
	if err := errors.Join(c.Warehouse.driver(c.Data).Validate(), c.Warehouse.Config.Validate()); err != nil {
		return fmt.Errorf("warehouse.%w", err)
	}
	if err := c.Pipelines.validate(); err != nil {
		return fmt.Errorf("pipelines.%w", err)
	}
	if err := c.Retention.Validate(); err != nil {
		return fmt.Errorf("retention.%w", err)
	}
	return nil
}

// fastSeries gives what says which series are fast; nil where none is.
func (c Config) fastSeries() (func(sample.Series) bool, error) {
	var any []func(sample.Series) bool
	for i, text := range c.Fast {
		match, err := matcher(text)
		if err != nil {
			return nil, fmt.Errorf("fast: selector %d: %w", i+1, err)
		}
		any = append(any, match)
	}
	if len(any) == 0 {
		return nil, nil
	}
	return func(s sample.Series) bool {
		return slices.ContainsFunc(any, func(match func(sample.Series) bool) bool { return match(s) })
	}, nil
}

// matcher reads a selector.
func matcher(text string) (func(sample.Series) bool, error) {
	selector, err := query.ParseSelector(text)
	if err != nil {
		return nil, err
	}
	return selector.MatchesSeries, nil
}
