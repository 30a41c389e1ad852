from benchmarks import common


def pytest_benchmark_update_machine_info(machine_info):
    machine_info["softcp_gpu"] = common.machine()
