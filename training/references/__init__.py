"""Reference potentials: analytic and tabulated embedded-atom models with exact Hessians."""
