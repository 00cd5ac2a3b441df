"""The page: three tabs around a `Service`."""

from pathlib import Path

import gradio as gr
from PIL import Image

from features.errors import InputError
from pipeline.report.collect import Line, find_lines
from pipeline.report.formats import number, span
from pipeline.serve.service import MAX_PAIRS, Service, small
from pipeline.serve.showing import HEADERS, caption, in_order, plain, rows_of, said_of, told

RUN_HEADERS = ["database", "features", "head", "pictures", "SRCC", "95 % interval", "PLCC*"]
DELETED = (600, 6 * 3600)  # seconds: how often uploads are looked at, and how old they may be
BUTTONS = ["download", "fullscreen"]  # by default there is one that uploads a picture to a forum
# no font from outside: the page works without a network
THEME = gr.themes.Default(
    font=["system-ui", "DejaVu Sans", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)


def page(service: Service) -> gr.Blocks:
    """Return the page of a service, ready to be launched."""
    with gr.Blocks(title="meanopinion", analytics_enabled=False, delete_cache=DELETED) as blocks:
        gr.Markdown("# meanopinion\nNo-reference image quality. Nothing leaves this machine.")
        with gr.Tab("Score"):
            _score_tab(blocks, service)
        with gr.Tab("Few-shot"):
            _few_shot_tab(blocks, service)
        with gr.Tab("Runs"):
            _runs_tab(blocks, service)
    return blocks


def _score_tab(blocks: gr.Blocks, service: Service) -> None:
    with gr.Row():
        with gr.Column(scale=1):
            head = gr.Dropdown(label="Head", choices=list(service.heads()), interactive=True)
            about = gr.Markdown()
            files = gr.File(label="Pictures", file_count="multiple", file_types=["image"])
            prompt = gr.Textbox(label="Prompt, for heads that take text")
            button = gr.Button("Score", variant="primary", elem_id="score")
        with gr.Column(scale=2):
            said = gr.Markdown()
            table = gr.Dataframe(headers=HEADERS, label="Ranking, best first", interactive=False)
            gallery = gr.Gallery(
                elem_id="ranking",
                label="Choose one to see where its score comes from",
                columns=5,
                allow_preview=False,
                buttons=BUTTONS,
            )
            where = gr.Image(
                label="Blue: better parts; red: worse parts", type="pil", buttons=BUTTONS
            )
            ends = gr.Markdown()
    shown_by = gr.State(("", "", []))  # the head and the prompt of the ranking; its order

    def fill() -> tuple:
        names = list(service.heads())
        first = names[0] if names else None
        return gr.Dropdown(choices=names, value=first), describe(first)

    def describe(name: str | None) -> str:
        if not name:
            return (
                "No head is here whose weights are here, too: `python -m pipeline.fit` makes some, "
                "`python -m pipeline.weights list` tells which files are missing."
            )
        facts = service.head(name).facts
        better = "higher" if facts["range"]["higher_is_better"] else "lower"
        return (
            f"Predicts {plain(facts['target'])} of {plain(facts['db'])}; {better} is better. Nine "
            f"of ten scores lie within {facts['error90']:.3g} of the prediction. "
            + plain(facts["note"])
        )

    def score(name: str | None, given: list[str] | None, text: str) -> tuple:
        found = service.score(name, given or [], text)
        ranked = in_order(found, given)
        pictures = [(small(f), caption(one)) for f, one in zip(ranked, found, strict=True)]
        return said_of(found), rows_of(found), pictures, (name, text, ranked), None, ""

    def explain(shown: tuple[str, str, list[str]], event: gr.SelectData) -> tuple:
        name, text, ranked = shown  # another head may be chosen meanwhile
        image, low, high = service.where(name, ranked[event.index], text)
        return image, f"Parts score from {low:.4g} to {high:.4g}, each as a picture of its own."

    shown = [said, table, gallery, shown_by, where, ends]
    blocks.load(told(fill), None, [head, about])
    head.change(told(describe), head, about)
    button.click(told(score), [head, files, prompt], shown, concurrency_limit=1, api_name="score")
    gallery.select(told(explain), shown_by, [where, ends], concurrency_limit=1)


def _few_shot_tab(blocks: gr.Blocks, service: Service) -> None:
    with gr.Row():
        with gr.Column(scale=1):
            features = gr.Dropdown(
                label="Feature set, or several side by side",
                choices=service.feature_sets(),
                multiselect=True,
                interactive=True,
            )
            prompt = gr.Textbox(label="Prompt, for feature sets that take text")
            rated = gr.File(
                elem_id="rated",
                label=f"3 to {MAX_PAIRS} pictures to rate",
                file_count="multiple",
                file_types=["image"],
            )
            sliders = [
                gr.Slider(0, 100, 50, step=1, label=f"{k}", visible=False, elem_id=f"slider-{k}")
                for k in range(MAX_PAIRS)
            ]
        with gr.Column(scale=2):
            rated_gallery = gr.Gallery(
                label="Rated pictures", columns=5, allow_preview=False, buttons=BUTTONS
            )
            files = gr.File(
                elem_id="unrated",
                label="Pictures to score",
                file_count="multiple",
                file_types=["image"],
            )
            button = gr.Button("Score like these", variant="primary", elem_id="few-shot")
            said = gr.Markdown()
            table = gr.Dataframe(headers=HEADERS, label="Ranking", interactive=False)
            gallery = gr.Gallery(label="Ranking", columns=5, allow_preview=False, buttons=BUTTONS)

    def fill() -> gr.Dropdown:
        names = service.feature_sets()
        likely = "content-lite" if "content-lite" in names else names[0]
        return gr.Dropdown(choices=names, value=[likely])

    def few(given: list[str] | None) -> list[str]:
        if len(given or []) > MAX_PAIRS:
            raise InputError(f"{len(given)} pictures came; at most {MAX_PAIRS} can be rated.")
        return given or []

    def rate(given: list[str] | None) -> list:
        given = few(given)
        if given:
            service.pictures(given)
        names = [Path(file).name for file in given]
        lacking = MAX_PAIRS - len(names)
        found = [gr.Slider(label=f"{k + 1}: {name}", visible=True) for k, name in enumerate(names)]
        pictures = [
            (small(f), f"{k + 1}: {name}")
            for k, (f, name) in enumerate(zip(given, names, strict=True))
        ]
        return [pictures, *found, *[gr.Slider(visible=False)] * lacking]

    def score(
        names: list[str] | None,
        text: str,
        given: list[str] | None,
        new: list[str] | None,
        *values: float,
    ) -> tuple:
        pairs = list(zip(few(given), values, strict=False))
        found = service.few_shot(names or [], pairs, new or [], text)
        pictures = [
            (small(f), caption(one)) for f, one in zip(in_order(found, new), found, strict=True)
        ]
        return said_of(found), rows_of(found), pictures

    blocks.load(told(fill), None, features)
    rated.change(told(rate), rated, [rated_gallery, *sliders])
    button.click(
        told(score),
        [features, prompt, rated, files, *sliders],
        [said, table, gallery],
        concurrency_limit=1,
        api_name="few_shot",
    )


def _runs_tab(blocks: gr.Blocks, service: Service) -> None:
    table = gr.Dataframe(headers=RUN_HEADERS, label="Runs", interactive=False)
    run = gr.Dropdown(label="Run", choices=[], interactive=True)
    plot = gr.Image(
        elem_id="scatter", label="Score against prediction", type="pil", buttons=BUTTONS
    )
    gr.Markdown("`python -m pipeline.report` makes a page of all of them.")

    def names() -> dict[str, Line]:
        try:
            lines, _ = find_lines(service.runs)
        except InputError:
            return {}
        cells = ((line, _run_row(line)) for line in lines)
        return {f"{' · '.join(row[:3])} · {line.run.name}": line for line, row in cells}

    def fill() -> tuple:
        found = names()
        first = next(iter(found), None)
        rows = [_run_row(line) for line in found.values()]
        return rows, gr.Dropdown(choices=list(found), value=first), choose(first)

    def choose(name: str | None) -> Image.Image | None:
        path = name and names()[name].run / "scatter.png"
        if not path or not path.is_file():
            return None
        # an image of its own: no file of a run is served by its path
        with Image.open(path) as image:
            return image.convert("RGB")

    blocks.load(told(fill), None, [table, run, plot])
    run.input(told(choose), run, plot)


def _run_row(line: Line) -> list:
    result = line.result
    return [
        line.name,
        result["features"],
        line.head + (" (optimistic)" if result["optimistic"] else ""),
        result["n_pictures"],
        number(result["median"]["srcc"]),
        span(line.interval("srcc")),
        number(result["median"].get("plcc_logistic")),
    ]
