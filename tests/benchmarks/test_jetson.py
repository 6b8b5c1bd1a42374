"""Power, clocks and heat of a Jetson, read from a tree of files as such boards have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefas.benchmarks import jetson

FILES = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "var/lib/nvpmodel/status": "pmode:0001 fmode:quiet\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=7W >\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
    "sys/devices/system/cpu/cpu1/online": "0\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "624750000\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48250\n",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device1/cur_state": "0\n",
    "sys/class/thermal/cooling_device2/type": "devfreq-17000000.gpu\n",
    "sys/class/thermal/cooling_device2/cur_state": "3\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "2\n",
    "sys/class/hwmon/hwmon2/oc3_event_cnt": "5\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/in1_label": "VDD_IN\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/in1_input": "5016\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/curr1_input": "960\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/in2_input": "5000\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/curr2_input": "400\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/in4_label": "Sum of shunt voltages\n",
}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    # of a zone that is powered down the file is there and cannot be read as a number
    (tmp_path / "sys/class/thermal/thermal_zone1/temp").write_text("")
    return tmp_path


def test_everything_of_a_board(board: Path) -> None:
    found = jetson.state(board)
    assert found == {
        "board": "NVIDIA Jetson Orin Nano Developer Kit",
        "power_mode": "7W",
        "clocks_mhz": {"cpu0": 1510.4, "gpu": 624.75},
        "temperatures_c": {"cpu-thermal": 48.25},
        "throttled_by": ["devfreq-17000000.gpu"],
        "over_current_events": 7,
        "power_w": {"VDD_IN": pytest.approx(5.016 * 0.96), "VDD_CPU_GPU_CV": 2.0},
    }


def test_a_mode_without_a_name_is_a_number(board: Path) -> None:
    (board / "etc/nvpmodel.conf").unlink()
    assert jetson.power_mode(board) == "1"
    (board / "var/lib/nvpmodel/status").unlink()
    assert jetson.power_mode(board) is None


def test_another_machine_gives_nothing(tmp_path: Path) -> None:
    assert jetson.state(tmp_path) is None
    assert jetson.energy_per_call_mj(lambda: None, 0.01, tmp_path) is None
    assert jetson.over_current_events(tmp_path) is None


def test_total_power_is_the_inlet_or_the_sum() -> None:
    assert jetson.total_power_w({"VDD_IN": 5.0, "VDD_SOC": 2.0}) == 5
    assert jetson.total_power_w({"VDD_GPU_SOC": 5.0, "VDD_CPU_CV": 2.0}) == 7
    assert jetson.total_power_w({}) is None


def test_energy_is_the_area_under_the_power() -> None:
    assert jetson.energy_j([(0, 2), (1, 4), (3, 4)]) == 3 + 8
    assert jetson.energy_j([(0, 2)]) is None


def test_energy_of_a_call_is_power_over_rate(board: Path) -> None:
    calls = []
    energy = jetson.energy_per_call_mj(lambda: calls.append(jetson.time.sleep(0.02)), 0.4, board)
    assert energy is not None
    # constant 4.815 W: the time of a call is all that can vary
    assert energy / (5.016 * 0.96) == pytest.approx(1e3 * 0.4 / len(calls), rel=0.3)


def test_trtexec_line_has_every_input() -> None:
    line = jetson.trtexec_line(Path("net-int8/tensorrt/fp16-stock.onnx"), {"ir": (1, 112, 112), "rgb": (3, 64, 64)})
    for end in ("min", "opt", "max"):
        assert f" --{end}Shapes=ir:1x1x112x112,rgb:1x3x64x64" in line
    assert "--onnx=net-int8/tensorrt/fp16-stock.onnx" in line
