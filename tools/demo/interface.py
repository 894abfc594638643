"""Layout and event handlers of the demo page, in Gradio."""

import html
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from common.errors import UserError
from tools.demo.demo_options import PageOptions
from tools.demo.demo_results import DemoResult, predict_upload
from tools.demo.upload import read_upload
from tools.demo.visitors import Visitors
from tools.demo.weights_menu import Predictors

HERE = Path(__file__).resolve().parent
TITLE = "Depth from a single image"
HELP = (
    "Bright is near, dark is far. Results are deleted when you leave or after an hour, uploads after "
    "about ten minutes. Predictions run one at a time: the upload field shows your place in the queue."
)
FIELD_OF_VIEW = 81.5  # degrees, horizontal: KITTI's camera
# The default theme downloads its fonts; system fonts keep the page offline.
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
MAX_WAITING = 50  # predictions in the queue; further ones are refused with a message
CLEANING_SECONDS, UPLOAD_SECONDS = 60, 600  # interval between clean-ups, and maximum age of an upload


class Page:
    """The demo page.

    Args:
        predictors: Predictors offered in the weights menu.
        visitors: Keeps the files of each visitor in a separate folder.
        examples: Example images and videos.
        options: Options of the page; here the upload limits are used.
    """

    def __init__(
        self, predictors: Predictors, visitors: Visitors, examples: Sequence[Path], options: PageOptions
    ) -> None:
        self._predictors = predictors
        self._visitors = visitors
        self._examples = examples
        self._options = options

    def build(self) -> gr.Blocks:
        """Build the page; call ``launch`` on the result to serve it."""
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CLEANING_SECONDS, UPLOAD_SECONDS)) as blocks:
            gr.Markdown(f"# {TITLE}\n{HELP}")
            sent = gr.File(label="Image or short video", height=150, elem_id="sent")
            examples = gr.Gallery(
                [str(path) for path in self._examples],
                **{"label": "Examples", "height": "auto", "object_fit": "cover", "allow_preview": False},
                **{"interactive": False, "buttons": [], "elem_id": "examples"},
            )
            with gr.Row():
                weights = gr.Dropdown(self._predictors.names, label="Weights", min_width=280, elem_id="weights")
                field_of_view = gr.Slider(
                    30, 130, FIELD_OF_VIEW, step=0.5, label="Horizontal field of view (degrees)", min_width=280
                )
            message = gr.HTML(visible=False, elem_id="message")
            with gr.Column(visible=False) as shown:
                summary = gr.HTML(elem_id="summary")
                pair = gr.ImageSlider(
                    type="filepath", label="Input and predicted disparity", interactive=False, buttons=["fullscreen"],
                    elem_id="compare",
                )  # fmt: skip
                depth = gr.HTML()
                video = gr.Video(label="Input and disparity video", interactive=False, autoplay=False, elem_id="video")
                gr.Markdown("### Point cloud\nDrag to rotate. Pinch, or click and scroll, to zoom.")
                cloud = gr.HTML(elem_id="cloud")
                files = gr.File(label="Download", file_count="multiple", interactive=False, elem_id="files")
            outputs = [sent, message, shown, summary, pair, depth, video, cloud, files]
            settings = [weights, field_of_view]
            # Predictions run one at a time: visitors share the predictor and the device.
            queued = {
                "outputs": outputs,
                "concurrency_limit": 1,
                "concurrency_id": "predict",
                "show_progress_on": [sent],  # place in the queue and progress; the results may be hidden
                "api_visibility": "private",
            }
            sent.upload(self.show_sent, [sent, *settings], **queued)
            examples.select(self.show_example, settings, **queued)
            weights.input(self.show_again, settings, **queued)
            field_of_view.release(self.show_again, settings, **queued)
            blocks.unload(self.forget)
        return blocks.queue(max_size=MAX_WAITING, default_concurrency_limit=1)

    def show_sent(self, sent: str, weights: str, field_of_view: float, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        """Predict the depth of an upload."""
        return self._show(request.session_hash, Path(sent), weights, field_of_view, progress)

    def show_example(
        self,
        weights: str,
        field_of_view: float,
        chosen: gr.SelectData,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008
    ):
        """Predict the depth of the selected example."""
        return self._show(request.session_hash, self._examples[chosen.index], weights, field_of_view, progress)

    def show_again(self, weights: str, field_of_view: float, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        """Predict the depth of the visitor's current file again, with other settings."""
        return self._show(request.session_hash, None, weights, field_of_view, progress)

    def forget(self, request: gr.Request) -> None:
        """Delete the files of a visitor who has left."""
        self._visitors.forget(request.session_hash)

    def _show(self, visitor: str, sent: Path | None, weights: str, field_of_view: float, progress) -> list:
        """Return the new values of all outputs: a result, or an error message."""
        try:
            source = self._visitors.begin(visitor, sent)
            if source is None:
                return _nothing()
            upload = read_upload(source, self._options.max_megabytes, self._options.max_frames)
            result = predict_upload(self._predictors[weights], upload, source.parent, field_of_view, progress)
        except UserError as error:
            return _nothing(self._predictors.without_paths(str(error)))
        except OSError:  # the disk is full, or the visitor left and their folder was deleted
            return _nothing("The result could not be written. Upload the file again, or try another one.")
        finally:
            self._visitors.sweep()
        return _shown(result) if result.pair[0].is_file() else _nothing()  # the folder is gone if they left


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
    ]


def _nothing(message: str = "") -> list:
    """Hide the result and show ``message``, if there is one."""
    alert = gr.HTML(f'<p role="alert">{html.escape(message)}</p>', visible=bool(message))
    return [None, alert, gr.Column(visible=False), "", None, "", None, "", None]
