"""Sleep mode where vLLM has none, for tests: on a processor it refuses `--enable-sleep-mode`, and its worker does nothing.

There is no other memory to give back to. But weights can be lost as they are on a GPU at level 2: whoever wakes the engine
must have it load them again, or it talks nonsense.

And a worker that is no faster than a real model's: a tiny one makes all tokens of an answer before a server on a busy
machine has sent the first, and nothing is left to see of streams and of those who leave them.
"""

# For each step, in seconds.
PACE = 0.006


def allow():
    """A general plugin of vLLM's: called in each of its processes."""
    from vllm.platforms.cpu import CpuPlatform

    CpuPlatform.is_sleep_mode_available = lambda self: True


def __getattr__(name):
    # For `--worker-cls`. Made when it is asked for: only one process of vLLM's needs what this imports.
    if name != "Worker":
        raise AttributeError(name)
    import time

    import torch
    from vllm.v1.worker.cpu_worker import CPUWorker

    class Worker(CPUWorker):
        def execute_model(self, *args, **kwargs):
            time.sleep(PACE)
            return super().execute_model(*args, **kwargs)

        def sleep(self, level=1):
            if level >= 2:
                with torch.no_grad():
                    for weights in self.model_runner.model.parameters():
                        weights.zero_()

        def wake_up(self, tags=None):
            pass

    return globals().setdefault(name, Worker)
