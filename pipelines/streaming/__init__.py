"""Sources, sinks and memory of the stream; `triad_ml.pipelines.streaming.jobs.local` puts them together."""
