"""init placeholder."""
import cyclopts
def register(app: cyclopts.App) -> None:
    pass
