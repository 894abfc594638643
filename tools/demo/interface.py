"""Layout and event handlers of the demo page, in Gradio."""

import html
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import gradio as gr

from common.errors import UserError
from tools.demo.demo_options import PageOptions
from tools.demo.demo_results import DemoResult, predict_upload
from tools.demo.examples import Example, credits_of
from tools.demo.upload import VIEWS, WIDE_VIEW, read_upload
from tools.demo.visitors import Visitors
from tools.demo.weights_menu import Predictors

TITLE = "Depth from a single image"
HEADER = f"""
<p class="project">Monodepth2 on PaddlePaddle</p>
<h1>{TITLE}</h1>
<p>How far away is everything in a photo or a short video? A network predicts the depth of every pixel; you get a depth
map, a point cloud, and files to download. Works best on streets seen from a car.</p>
<details><summary>Limits and privacy</summary><ul>
<li>Weights trained on streets fail on rooms, close-ups and portraits. The sky, glass and reflections are often
wrong.</li>
<li>Depth is in metres only if the weights store a metric scale; otherwise it is relative, correct up to one
factor.</li>
<li>The point cloud is correct only with the right field of view. It is read from the photo if the camera stored it,
otherwise assumed; the settings change it.</li>
<li>Results are deleted when you leave or after an hour, uploads after about ten minutes. Predictions run one at a time;
a busy page shows your place in the queue.</li></ul></details>
"""
WEIGHTS_HELP = "Published weights are downloaded when you select them."
VIEW_HELP = "Horizontal, degrees; for the point cloud."
CLOUD_HELP = "<h3>Point cloud</h3><p>Drag to rotate. Pinch, or click and scroll, to zoom.</p>"
FILES_HELP = (
    "<h3>Download</h3><p>Picture of input and disparity; disparity and depth as NumPy arrays, metric depth also as "
    "16-bit PNG (256 per metre); coloured points as PLY and GLB, for MeshLab, CloudCompare or Blender.</p>"
)
# The default theme downloads its fonts; system fonts keep the page offline.
THEME = gr.themes.Soft(
    primary_hue="blue", secondary_hue="blue", neutral_hue="slate", radius_size="md",
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"],
)  # fmt: skip
MAX_WAITING = 50  # predictions in the queue; further ones are refused with a message
CLEANING_SECONDS, UPLOAD_SECONDS = 60, 600  # interval between clean-ups, and maximum age of an upload
SCROLL = "() => window.showResult()"  # in pointer.js


class Page:
    """The demo page.

    Args:
        predictors: Predictors offered in the weights menu.
        visitors: Keeps the files of each visitor in a separate folder.
        examples: Example images and videos; the page opens with the first.
        folder: For the results of the examples, which all visitors share.
        options: Options of the page; here the upload limits are used.
    """

    def __init__(
        self,
        predictors: Predictors,
        visitors: Visitors,
        examples: Sequence[Example],
        folder: Path,
        options: PageOptions,
    ) -> None:
        self._predictors = predictors
        self._visitors = visitors
        self._examples = examples
        self._folder = folder
        self._options = options
        self._results: dict[int, DemoResult] = {}  # of the examples, with the first weights
        self._drawing = threading.Lock()
        self._predicting = threading.Lock()  # visitors share the predictors and the device

    def build(self) -> gr.Blocks:
        """Build the page; call ``launch`` on the result to serve it."""
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CLEANING_SECONDS, UPLOAD_SECONDS)) as blocks:
            gr.HTML(HEADER, elem_id="header", padding=False)
            with gr.Row(elem_id="page"):
                with gr.Column(scale=4, min_width=320):
                    sent, examples, weights, view = self._build_inputs()
                with gr.Column(scale=8, min_width=320, elem_id="result"):
                    outputs = [sent, *_build_outputs(), view]
            message, pair = outputs[1], outputs[4]
            # Predictions run one at a time: visitors share the predictor and the device.
            queued = {
                "outputs": outputs,
                "concurrency_limit": 1,
                "concurrency_id": "predict",
                "show_progress_on": [sent, message, pair],  # place in the queue and progress
                "api_visibility": "private",
            }
            for event, handler, inputs in (
                (sent.upload, self.show_sent, [sent, weights]),
                (examples.select, self.show_example, [weights]),
                (weights.input, self.show_again, [weights, view]),
                (view.release, self.show_again, [weights, view]),
            ):
                event(None, js=SCROLL)  # at the start to the progress, in the end to the result
                event(handler, inputs, **queued).then(None, js=SCROLL)
            # Not in the queue: the first result is there before the page is.
            blocks.load(self.show_first, None, outputs, queue=False, api_visibility="private", show_progress="hidden")
            blocks.unload(self.forget)
        return blocks.queue(max_size=MAX_WAITING, default_concurrency_limit=1)

    def _build_inputs(self) -> tuple[gr.File, gr.Gallery, gr.Dropdown, gr.Slider]:
        sent = gr.File(label="Photo or short video", height=180, elem_id="sent")
        examples = gr.Gallery(
            [(str(example.path), example.caption) for example in self._examples],
            **{"label": "Examples", "height": "auto", "object_fit": "cover", "allow_preview": False},
            **{"interactive": False, "buttons": [], "elem_id": "examples"},
        )
        gr.HTML(f"<p>{html.escape(credits_of(self._examples))}</p>", elem_id="credits", padding=False)
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            weights = gr.Dropdown(
                self._predictors.choices(), value=self._predictors.names[0], label="Weights", info=WEIGHTS_HELP,
                elem_id="weights",
            )  # fmt: skip
            view = gr.Slider(*VIEWS, WIDE_VIEW, step=0.5, label="Field of view", info=VIEW_HELP, elem_id="view")
        return sent, examples, weights, view

    def predict_examples(self, stop: threading.Event) -> None:
        """Predict all examples with the first weights, so that no visitor waits for them; end when ``stop`` is set."""
        for index in range(len(self._examples)):
            if stop.is_set():
                return
            with suppress(UserError, OSError):  # reported to the visitor who selects the example
                self._example_result(index)

    def show_first(self, request: gr.Request) -> list:
        """Show the result of the first example."""
        return self._show(request.session_hash, self._examples[0].path, lambda source: self._example_result(0))

    def show_sent(self, sent: str, weights: str, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        """Predict the depth of an upload."""
        return self._show(
            request.session_hash,
            Path(sent),
            lambda source: self._predict(source, source.parent, weights, None, progress),
        )

    def show_example(
        self,
        weights: str,
        chosen: gr.SelectData,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008
    ):
        """Show the depth of the selected example."""
        example = self._examples[chosen.index]

        def result(source: Path) -> DemoResult:
            if weights == self._predictors.names[0]:
                return self._example_result(chosen.index)
            return self._predict(source, source.parent, weights, example.field_of_view, progress)

        return self._show(request.session_hash, example.path, result)

    def show_again(self, weights: str, field_of_view: float, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        """Predict the depth of the visitor's current file again, with other settings."""
        return self._show(
            request.session_hash,
            None,
            lambda source: self._predict(source, source.parent, weights, field_of_view, progress),
        )

    def forget(self, request: gr.Request) -> None:
        """Delete the files of a visitor who has left."""
        self._visitors.forget(request.session_hash)

    def _example_result(self, index: int) -> DemoResult:
        """Return the result of an example with the first weights; predict it if that has not been done."""
        if index not in self._results:
            with self._drawing:
                if index not in self._results:
                    self._results[index] = self._predict_example(index)
        return self._results[index]

    def _predict_example(self, index: int) -> DemoResult:
        example, folder = self._examples[index], self._folder / str(index)
        folder.mkdir(parents=True, exist_ok=True)
        weights = self._predictors.names[0]
        return self._predict(example.path, folder, weights, example.field_of_view, lambda share, what: None)

    def _predict(
        self,
        source: Path,
        folder: Path,
        weights: str,
        field_of_view: float | None,
        progress: Callable[[float, str], None],
    ) -> DemoResult:
        """Read a file and predict its depth, one file at a time."""
        with self._predicting:
            progress(0, "Reading the file")
            upload = read_upload(source, self._options.max_megabytes, self._options.max_frames)
            if not self._predictors.is_loaded(weights):
                progress(0, "Getting the weights")
            return predict_upload(self._predictors[weights], upload, folder, field_of_view, progress)

    def _show(self, visitor: str, sent: Path | None, result_of: Callable[[Path], DemoResult]) -> list:
        """Return the new values of all outputs: a result, or an error message.

        Args:
            visitor: Session identifier.
            sent: Uploaded or selected file; None for the visitor's current one.
            result_of: Predicts the visitor's copy of the file.
        """
        try:
            source = self._visitors.begin(visitor, sent)
            if source is None:
                return _nothing()
            result = result_of(source)
        except UserError as error:
            return _nothing(self._predictors.without_paths(str(error)))
        except OSError:  # the disk is full, or the visitor left and their folder was deleted
            return _nothing("The result could not be written. Upload the file again, or try another one.")
        finally:
            self._visitors.sweep()
        return _shown(result) if result.pair[0].is_file() else _nothing()  # the folder is gone if they left


def _build_outputs() -> list:
    """Build the result's components, in the order of ``_shown``."""
    message = gr.HTML(visible=False, elem_id="message")
    with gr.Column(visible=False) as shown:
        pair = gr.ImageSlider(
            type="filepath", label="Input and depth", show_label=False, interactive=False, buttons=["fullscreen"],
            elem_id="compare", max_height=460,
        )  # fmt: skip
        depth = gr.HTML(elem_id="reading", padding=False)
        summary = gr.HTML(elem_id="summary", padding=False)
        video = gr.Video(show_label=False, interactive=False, autoplay=False, elem_id="video")
        gr.HTML(CLOUD_HELP, padding=False)
        cloud = gr.HTML(elem_id="cloud", padding=False)
        gr.HTML(FILES_HELP, padding=False)
        files = gr.File(show_label=False, file_count="multiple", interactive=False, elem_id="files")
    return [message, shown, summary, pair, depth, video, cloud, files]


def _shown(result: DemoResult) -> list:
    return [
        None,  # clears the upload field
        gr.HTML(visible=False),
        gr.Column(visible=True),
        f"<p>{html.escape(result.summary)}</p>",
        tuple(map(str, result.pair)),
        result.depth,
        gr.Video(str(result.video) if result.video else None, visible=result.video is not None),
        result.cloud,
        [str(path) for path in result.files],
        result.field_of_view,
    ]


def _nothing(message: str = "") -> list:
    """Hide the result and show ``message``, if there is one."""
    alert = gr.HTML(f'<p role="alert">{html.escape(message)}</p>', visible=bool(message))
    return [None, alert, gr.Column(visible=False), "", None, "", None, "", None, gr.Slider()]
