# SPDX-License-Identifier: Apache-2.0
"""Interprets the runbooks of Systems Manager Automation, from their documents."""

import copy
import datetime
import re
import types


class Killed(BaseException):
    """The step ends there and then, without anything that it would still have done."""


class ServiceError(Exception):
    pass


class AllOne:
    """An executor that does one after the other: what happens at once in one order."""

    def __init__(self, _):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, work, *arguments):
        try:
            value = work(*arguments)
        except Exception as error:  # As a future does.
            value = error
        return types.SimpleNamespace(result=lambda: self.result(value))

    @staticmethod
    def result(value):
        if isinstance(value, Exception):
            raise value
        return value


class Interpreter:
    """Runs a document of Automation against `world`, which has the services' calls and the time. What Automation itself does is here as
    its documentation says; it was never run there."""

    def __init__(self, document, world, parameters, failing_step, execution):
        self.document, self.world, self.failing_step = document, world, failing_step
        self.values = {name: one.get("default") for name, one in document["parameters"].items()}
        self.values.update(parameters)
        self.values["automation:EXECUTION_ID"] = execution
        self.ran = []

    def fill(self, value):
        if isinstance(value, dict):
            return {name: self.fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        whole = re.fullmatch(r"{{ *([\w:.]+) *}}", value) if isinstance(value, str) else None
        # What a step did not put out stays as it is written.
        return copy.copy(self.values.get(whole[1], value)) if whole else value

    def run(self):
        """Whether the runbook succeeded."""
        steps = {step["name"]: step for step in self.document["mainSteps"]}
        name, good = self.document["mainSteps"][0]["name"], True
        while name is not None:
            step = steps[name]
            self.ran.append(name)
            try:
                if name == self.failing_step:
                    raise ServiceError("the step fails")
                getattr(self, step["action"].removeprefix("aws:"))(step)
                failed = False
            except (Exception, Killed):
                failed = True
            if failed and step.get("isCritical", True):
                good = False
            after = step.get("onFailure", "Abort") if failed else "Continue"
            if after == "Abort":
                return False
            target = after.removeprefix("step:") if after.startswith("step:") else step.get("nextStep")
            name = None if step.get("isEnd") else target
        return good

    def executeScript(self, step):
        inputs = {name: value if name == "Script" else self.fill(value) for name, value in step["inputs"].items()}
        world = self.world
        clock = types.SimpleNamespace(monotonic=lambda: world.now, sleep=self.sleep)
        moment = lambda zone: datetime.datetime.fromtimestamp(world.now, zone)
        times = types.SimpleNamespace(
            datetime=types.SimpleNamespace(now=moment), timezone=datetime.timezone, timedelta=datetime.timedelta)  # fmt: skip
        concurrent = types.SimpleNamespace(futures=types.SimpleNamespace(ThreadPoolExecutor=AllOne))
        script = re.sub(r"^import .*\n", "", inputs["Script"], flags=re.M)
        names = {"boto3": types.SimpleNamespace(client=lambda _: world), "time": clock, "datetime": times, "concurrent": concurrent, "print": lambda *_: None}
        exec(compile(script, step["name"], "exec"), names)
        payload = names[inputs["Handler"]](inputs["InputPayload"], {})
        for output in step.get("outputs", []):
            self.values[f"{step['name']}.{output['Name']}"] = payload[output["Selector"].removeprefix("$.Payload.")]

    def runCommand(self, step):
        inputs = self.fill(step["inputs"])
        parameters = {name: [value] for name, value in inputs["Parameters"].items()}
        command = self.world.send_command(inputs["DocumentName"], inputs["InstanceIds"], parameters)["Command"]["CommandId"]
        self.sleep(60)
        if any(code != 0 for code, _ in self.world.commands[command].values()):
            raise ServiceError("the command failed")

    def waitForAwsResourceProperty(self, step):
        inputs = self.fill(step["inputs"])
        call = getattr(self.world, re.sub("(?<!^)([A-Z])", r"_\1", inputs["Api"]).lower())
        arguments = {name: value for name, value in inputs.items() if name not in ("Service", "Api", "PropertySelector", "DesiredValues")}
        end = self.world.now + step["timeoutSeconds"]
        while True:
            value = call(**arguments)
            for name, index in re.findall(r"[.](\w+)(?:\[(\d+)\])?", inputs["PropertySelector"]):
                value = value[name][int(index)] if index else value[name]
            if value in inputs["DesiredValues"]:
                return
            if self.world.now > end:
                raise ServiceError("timed out")
            self.sleep(30)

    def sleep(self, seconds):
        self.world.now += seconds
