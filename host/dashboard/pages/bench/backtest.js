export const Backtest = () => null;
