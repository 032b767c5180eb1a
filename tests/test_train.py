"""i2c train: what a batch's loss is, that a training goes on as if it had not stopped, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import COFFEE
from PIL import Image

from i2compress.cli import main
from i2compress.errors import MalformedError, OutputExistsError, UsageError
from i2compress.field.priors import read_start
from i2compress.fit.distortion import SquaredError
from i2compress.fit.problem import Problem, Start
from i2compress.fit.schedule import Schedule
from i2compress.train import CURVE, START, BatchSettings, BatchTraining, FitSettings, FitTraining, split, train
from i2compress.train.crops import Crops
from i2compress.train.model import Model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six small pictures, two of them alike in nothing but their origin."""
    folder = tmp_path_factory.mktemp("photos")
    picture = Image.open(COFFEE).convert("RGB")
    for number in range(6):
        left = 16 * number
        picture.crop((left, 0, left + 100, 120)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def settings(steps: int, **given: object) -> BatchSettings:
    return BatchSettings(**{"steps": steps, "side": 64, "batch": 2, "every": 100, **given})  # type: ignore[arg-type]


def test_the_loss_of_a_batch_is_that_of_its_fits() -> None:
    torch.manual_seed(0)
    model = Model(96)
    for knots in model.knots.values():
        knots.data.normal_(std=0.02)
    model.contract()
    pictures = torch.rand(2, 3, 96, 96)
    latents = [torch.randint(-3, 4, grid.shape).float() for grid in model.analysis(pictures, 44)]
    distortion, rate = (float(term.detach()) for term in model.terms(latents, pictures, 44))
    weights = {name: tensor.detach().double().numpy() for name, tensor in model.weights(44).items()}
    terms = []
    for number, picture in enumerate(pictures):
        target = SquaredError(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), device=CPU)
        spec = model._field[0].spec
        problem = Problem(target, spec, 1e-3, device=CPU, schedule=Schedule(steps=1), start=Start(weights=weights))
        own = [grid[number : number + 1] for grid in latents]
        terms.append((problem.distortion_of(own, problem.windows[0]), problem.rate_of(own, problem.windows[0])))
    np.testing.assert_allclose((distortion, rate), np.mean(terms, 0), rtol=1e-5)


def test_training_that_goes_on_is_training_that_never_stopped(photos: list[Path], tmp_path: Path) -> None:
    paths = split(photos)
    straight = train(paths, settings(6), tmp_path / "a", device=CPU)

    def stopped(training: list[int] = []) -> bool:  # noqa: B006
        training.append(0)
        return len(training) > 3

    begun = train(paths, settings(6), tmp_path / "b", device=CPU, stop=stopped)
    assert begun.step == 3
    resumed = train(paths, settings(6), tmp_path / "b", device=CPU, resume=True)
    assert resumed.step == straight.step == 6
    for name, tensor in straight.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert (tmp_path / "a" / START).read_bytes() == (tmp_path / "b" / START).read_bytes()
    with pytest.raises(OutputExistsError, match="--resume"):
        train(paths, settings(6), tmp_path / "a", device=CPU)
    with pytest.raises(UsageError, match="leave --resume out"):
        train(paths, settings(6), tmp_path / "c", device=CPU, resume=True)


def test_training_lowers_the_held_out_loss(photos: list[Path], tmp_path: Path) -> None:
    chosen, held = split(photos)
    crops = Crops(chosen, side=64, batch=2, seed=0)
    training = BatchTraining(crops, crops.at(1000), settings(50, warm_up=5), tmp_path, CPU)
    before = training.measure()
    training.run()
    after = training.measure()
    assert after["loss 0.001"] < 0.9 * before["loss 0.001"]
    first = read_start(tmp_path / START).number
    again = train((chosen, held), settings(1), tmp_path / "more", device=CPU, begin=str(tmp_path / START))
    assert read_start(tmp_path / "more" / START).number == first  # the first step of a warm-up moves nothing by 1/256
    assert again.measure()["loss 0.001"] < 0.9 * before["loss 0.001"]


def test_training_by_fits_goes_on_as_if_it_had_not_stopped(photos: list[Path], tmp_path: Path) -> None:
    paths = split(photos)
    how = FitSettings(steps=7, side=64, every=100, fit_steps=8)
    assert [how.place(step) for step in range(7)] == [(2, 0), (2, 1), (1, 0), (1, 1), (3, 0), (0, 0), (4, 0)]
    straight = train(paths, how, tmp_path / "a", device=CPU)
    asked: list[int] = []
    begun = train(paths, how, tmp_path / "b", device=CPU, stop=lambda: asked.append(0) or len(asked) > 3)  # type: ignore[func-returns-value]
    assert begun.step == 3
    resumed = train(paths, how, tmp_path / "b", device=CPU, resume=True)
    assert isinstance(straight, FitTraining) and isinstance(resumed, FitTraining)
    for name, table in straight.tables().items():
        np.testing.assert_array_equal(table, resumed.tables()[name])
        assert np.ptp(table, axis=0).any()  # the knots went their own ways
    point = resumed.measure()
    assert point["step"] == 7 and 0 < point["loss 0.001"] < 1e3
    file = read_start(tmp_path / "a" / START)
    assert not file.guesses and {name: table.tolist() for name, table in file.tables.items()} == {
        name: table.tolist() for name, table in straight.tables().items()
    }
    with pytest.raises(MalformedError, match="no checkpoint of such a training"):
        train(paths, settings(6), tmp_path / "b", device=CPU, resume=True)


def test_a_prior_goes_towards_what_fits_come_to(photos: list[Path], tmp_path: Path) -> None:
    """The mean of the first fits, and from there on nearer to each: a fit that begins there has less to do."""
    chosen, _ = split(photos)
    crops = Crops(chosen, side=64, batch=1, seed=0)
    training = FitTraining(crops, crops.at(500), FitSettings(steps=100, side=64, fit_steps=60), tmp_path, CPU)
    before = training.measure()["loss 0.001"]
    for step in range(8):
        training.make(step)
    assert training.measure()["loss 0.001"] < 0.97 * before


def test_held_out_photographs_are_never_trained_on(photos: list[Path]) -> None:
    chosen, held = split(photos)
    assert held and chosen and not set(chosen) & set(held) and sorted(chosen + held) == photos
    assert all(path in split(photos[:-1])[0] for path in chosen if path != photos[-1] and len(held) and held[0] != photos[0])


def test_the_command_line(photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "start"
    given = ["train", str(photos[0].parent), "--out", str(out), "--steps", "2", "--side", "64", "--device", "cpu", "--json"]
    assert main([*given, "--batch", "1"]) == 2
    assert "add --network" in capsys.readouterr().err
    assert main([*given, "--batch", "1", "--network"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["steps"] == 2 and Path(record["start"]).is_file() and record["curve"] == str(out / CURVE)
    assert main(["train", str(photos[0]), "--out", str(tmp_path / "one")]) == 2
    assert "at least 2" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "gone"), "--out", str(tmp_path / "two")]) == 2
    assert main(["train", str(photos[0].parent), "--out", str(out)]) == 3
    assert main(["train", str(photos[0].parent), "--out", str(tmp_path / "three"), "--side", "70"]) == 2
    assert "multiple of 32" in capsys.readouterr().err
    assert not (tmp_path / "three").exists()
