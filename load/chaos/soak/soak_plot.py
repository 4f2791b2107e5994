"""The plot of a soak: each resource by step over time, with the outages and the largest values of the quarters."""

import io

from load.chaos.soak.resources import QUARTERS, RESOURCES, growth
from load.chaos.soak.soak_run import SoakReport
from topologies.processes import STEPS

WIDTH_INCHES = 10.0
PANEL_HEIGHT_INCHES = 2.6


def draw_soak(report: SoakReport) -> bytes:
    """Draw the plot of a soak as PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415  slow to import, and only the plot needs it

    figure = Figure(figsize=(WIDTH_INCHES, PANEL_HEIGHT_INCHES * len(RESOURCES)), layout="constrained")
    panels = figure.subplots(len(RESOURCES), sharex=True)
    minutes = [at_s / 60 for at_s in report.samples.at_s]
    largest_by_quarter = report.largest()
    for axes, resource in zip(panels, RESOURCES, strict=True):
        for step in STEPS:
            values = report.samples.by_step[resource.name][step]
            axes.plot(minutes, [value / resource.divisor for value in values], lw=1.0, label=step)
        totals = report.samples.totals(resource.name)
        axes.plot(minutes, [value / resource.divisor for value in totals], lw=1.4, color="black", label="all steps")
        largest = largest_by_quarter[resource.name]
        quarter_minutes = report.duration_s / 60 / QUARTERS
        for quarter, value in enumerate(largest):
            axes.hlines(
                value / resource.divisor,
                quarter * quarter_minutes,
                (quarter + 1) * quarter_minutes,
                ls=":",
                color="grey",
            )
        for start_s, end_s in report.outages:
            axes.axvspan(start_s / 60, end_s / 60, color="tab:red", alpha=0.15, lw=0)
        axes.set_title(
            f"{resource.title}: last quarter / second quarter = {growth(largest):.3f}", fontsize=10, loc="left"
        )
        axes.set_ylim(bottom=0)
    panels[0].legend(fontsize=8, ncols=len(STEPS) + 1, loc="lower right")
    panels[-1].set_xlabel(f"minutes; {len(report.faults)} faults, seed {report.seed}; red: the broker is down")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
