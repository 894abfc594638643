"""The page itself, in Gradio: what stands where, and what happens on which event."""

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
TITLE = "Depth from one image"
FIELD_OF_VIEW = 81.5  # KITTI's camera, across
# Nothing from outside: the default theme would fetch its fonts.
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
CLEANING_SECONDS, UPLOAD_SECONDS = 60, 600  # how often, and how old what was sent may grow


class Page:
    """The page of some weights.

    Args:
        predictors: to choose from.
        visitors: keeps their files apart.
        examples: files that a visitor may try.
        options: what is taken.
    """

    def __init__(
        self, predictors: Predictors, visitors: Visitors, examples: Sequence[Path], options: PageOptions
    ) -> None:
        self._predictors = predictors
        self._visitors = visitors
        self._examples = examples
        self._options = options

    def build(self) -> gr.Blocks:
        """The page, to be launched."""
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CLEANING_SECONDS, UPLOAD_SECONDS)) as blocks:
            gr.Markdown(f"# {TITLE}\nNear is bright, far is dark. What you send is deleted when you leave.")
            sent = gr.File(label="Drop an image or a short video here", height=150, elem_id="sent")
            examples = gr.Gallery(
                [str(path) for path in self._examples],
                **{"label": "Or take one of these", "height": "auto", "object_fit": "cover", "allow_preview": False},
                **{"interactive": False, "buttons": [], "elem_id": "examples"},
            )
            with gr.Row():
                weights = gr.Dropdown(self._predictors.folders, label="Weights", min_width=280, elem_id="weights")
                field_of_view = gr.Slider(
                    30, 130, FIELD_OF_VIEW, step=0.5, label="Field of view across, degrees", min_width=280
                )
            message = gr.HTML(visible=False, elem_id="message")
            with gr.Column(visible=False) as shown:
                summary = gr.HTML(elem_id="summary")
                pair = gr.ImageSlider(
                    type="filepath", label="Image and depth", interactive=False, buttons=["fullscreen"],
                    elem_id="compare",
                )  # fmt: skip
                depth = gr.HTML()
                video = gr.Video(label="Video", interactive=False, autoplay=False, elem_id="video")
                gr.Markdown("### Points\nDrag to turn, two fingers or the wheel to come nearer.")
                cloud = gr.HTML(elem_id="cloud")
                files = gr.File(label="Download", file_count="multiple", interactive=False, elem_id="files")
            outputs = [sent, message, shown, summary, pair, depth, video, cloud, files]
            settings = [weights, field_of_view]
            # One at a time: what predicts is shared, and so is the processor.
            queued = {
                "outputs": outputs,
                "concurrency_limit": 1,
                "concurrency_id": "predict",
                "api_visibility": "private",
            }
            sent.upload(self.show_sent, [sent, *settings], **queued)
            examples.select(self.show_example, settings, **queued)
            weights.input(self.show_again, settings, **queued)
            field_of_view.release(self.show_again, settings, **queued)
            blocks.unload(self.forget)
        return blocks

    def show_sent(self, sent: str, weights: str, field_of_view: float, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        """Predicts what a visitor has sent."""
        return self._show(request.session_hash, Path(sent), weights, field_of_view, progress)

    def show_example(
        self,
        weights: str,
        field_of_view: float,
        chosen: gr.SelectData,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008
    ):
        """Predicts the example that a visitor has chosen."""
        return self._show(request.session_hash, self._examples[chosen.index], weights, field_of_view, progress)

    def show_again(self, weights: str, field_of_view: float, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        """Predicts what a visitor has sent before, with other settings."""
        return self._show(request.session_hash, None, weights, field_of_view, progress)

    def forget(self, request: gr.Request) -> None:
        """Removes the files of a visitor who has left."""
        self._visitors.forget(request.session_hash)

    def _show(self, visitor: str, sent: Path | None, weights: str, field_of_view: float, progress) -> list:
        """What all outputs become: a result, or a sentence in its place."""
        try:
            source = self._visitors.begin(visitor, sent)
            if source is None:
                return _nothing()
            upload = read_upload(source, self._options.max_megabytes, self._options.max_frames)
            result = predict_upload(self._predictors[weights], upload, source.parent, field_of_view, progress)
        except UserError as error:
            return _nothing(str(error))
        except OSError:  # the disk is full, or the visitor has left just now, and the folder with them
            return _nothing("The result could not be written. Send the file again, or another one.")
        finally:
            self._visitors.sweep()
        return _shown(result) if result.pair[0].is_file() else _nothing()  # where they have left meanwhile


def _shown(result: DemoResult) -> list:
    return [
        None,  # room for the next file
        gr.HTML(visible=False),
        gr.Column(visible=True),
        f"<p>{html.escape(result.summary)}</p>",
        tuple(map(str, result.pair)),
        result.depth,
        gr.Video(str(result.video) if result.video else None, visible=result.video is not None),
        result.cloud,
        [str(path) for path in result.files],
    ]


def _nothing(sentence: str = "") -> list:
    """No result, and a sentence that says why."""
    told = gr.HTML(f'<p role="alert">{html.escape(sentence)}</p>', visible=bool(sentence))
    return [None, told, gr.Column(visible=False), "", None, "", None, "", None]
