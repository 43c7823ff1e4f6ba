import subprocess
import sys


def test_the_core_is_light():
    code = (
        "import sys, thiry_calc.linear as l; "
        "bad = {'ase', 'numba', 'sklearn', 'matscipy', 'torch'} & set(sys.modules); "
        "assert not bad, bad; assert len(l.__all__) <= 15; "
        "[getattr(l, n) for n in l.__all__ if n != 'LinearRegressor']; "
        "assert 'sklearn' not in sys.modules; "
        "l.LinearRegressor; assert 'sklearn' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
