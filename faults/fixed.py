"""A plan that is run again as it is: a scenario in which everything is decided.

Node names, seed and time scale are the plan's own. What cannot be kept is refused, never bent:
a plan that ran differently would be another plan.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PrivateAttr, ValidationError

from faults.attributes import spec_of
from faults.errors import ScenarioError
from faults.explaining import explain, keys_of
from faults.kinds import Latency
from faults.model import Client, Load, Phases, Scenario
from faults.planfile import load_endless, load_plan
from faults.planned import Plan
from faults.waiting import Delay
from faults.yamltext import Place, Text

UNSAID_SEED = 1  # what the options say where the user says nothing
UNSAID_SCALE = 1.0


class FixedScenario(Scenario):
    """A scenario made from a plan file. It has no `faults`: the plan has them."""

    _plan: Plan = PrivateAttr()

    @property
    def has_phases(self) -> bool:
        """Whether it ends by itself; every plan does."""
        return True

    @property
    def plan(self) -> Plan:
        """The plan as the file has it."""
        return self._plan

    def holds(self, plan: Plan) -> None:
        """Take the plan it was made from."""
        self._plan = plan

    def error(self, place: Place, problem: str) -> ScenarioError:
        """Make the one line about a place; a plan has its phases on the top level."""
        return super().error(place[1:] if place[0] == "phases" else place, problem)

    def delays(self, nodes: int) -> list[Delay]:
        """Give what keeps calls waiting."""
        specs = [(fault, spec_of(fault.kind, fault.attributes)) for fault in self._plan.faults]
        return [
            Delay(
                fault=fault.id,
                at_s=fault.at_s,
                end_s=fault.end_s,
                latency_s=spec.waits_s,
                share=len(fault.nodes) / len(self._plan.nodes),
            )
            for fault, spec in specs
            if isinstance(spec, Latency)
        ]

    def fit(self, *, seed: int, nodes: Sequence[str], time_scale: float) -> Plan:
        """Give the plan, for these nodes; ScenarioError where it cannot be run as it is."""
        plan = self._plan
        if tuple(nodes) != plan.nodes:
            raise self.error(
                ("nodes",),
                f"the plan is for {len(plan.nodes)} nodes ({' '.join(plan.nodes)}) and there are "
                f"{len(nodes)} ({' '.join(nodes)}): give as many (--embedded-nodes, --nodes)",
            )
        if seed not in (UNSAID_SEED, plan.seed):
            raise self.error(
                ("seed",), f"a plan has its own seed, {plan.seed}, not {seed}: leave --seed out"
            )
        if time_scale not in (UNSAID_SCALE, plan.time_scale):
            raise self.error(
                ("time_scale",),
                f"a plan is run as it is, not at time scale {time_scale:g}: leave it out",
            )
        return plan


def fixed_scenario(text: Text) -> Scenario:
    """Read a plan file as a scenario; ScenarioError in one line for what cannot be."""
    if not {"stabilization", "testing", "recovery", "faults"} & text.data.keys():
        return _endless(text)
    plan = load_plan(text)
    try:
        scenario = FixedScenario(
            name=plan.scenario,
            description=plan.description,
            phases=Phases(
                stabilization=plan.stabilization_s, testing=plan.testing_s, recovery=plan.recovery_s
            ),
            load=Load.model_validate(plan.load),
            client=Client.model_validate(plan.client),
            budgets=plan.budgets,
            groups=plan.groups,
        )
    except ValidationError as why:  # a plan is no freer than a scenario
        raise explain(text, why, keys_around=lambda place: keys_of(FixedScenario)) from None
    scenario.come_from(text)
    scenario.holds(plan)
    return scenario


def _endless(text: Text) -> Scenario:
    """Read the plan of a run without phases, in which nothing was planned."""
    scenario = Scenario(name=load_endless(text))
    scenario.come_from(text)
    return scenario
