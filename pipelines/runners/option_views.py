"""Beam's pipeline options, with views that are made once."""

from typing import Any, TypeVar

from apache_beam.options.pipeline_options import PipelineOptions

View = TypeVar("View", bound=PipelineOptions)

_VIEWS = "_views"


class Options(PipelineOptions):
    """Options of one pipeline.

    Beam asks for about 250 views of them while it builds and runs a small pipeline, and makes a
    parser of all options of the view for each: a quarter of the CPU time of a unit of work with few
    records. All views of the same options share their values, so one view of each class serves.
    """

    def view_as(self, cls: type[View]) -> View:
        # Beam's class takes only the names of options as attributes.
        views = self.__dict__.setdefault(_VIEWS, {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        view: View = views[cls]
        return view

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != _VIEWS}
