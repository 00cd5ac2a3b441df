"""Pages from templates: what a name or a note holds is text, never markup."""

import jinja2

from pipeline.breakdown import breakdown_text
from pipeline.results import number, span


def render(template: str, **values: object) -> str:
    """Return the page that a file of pipeline/templates/ makes."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "span": span, "breakdown": breakdown_text}
    return environment.get_template(f"{template}.html.j2").render(values)
